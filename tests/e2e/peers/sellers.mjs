// A facilitator and three shops on loopback, all of the official packages, on the chain given by RPC:
//   v2      @x402/express        v1      x402-express        liar    settles, then says something else
// Prints one JSON line with the addresses once everything listens. Ends with its standard input.
import express from "express";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { paymentMiddleware as middleware2, x402ResourceServer } from "@x402/express";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { paymentMiddleware as middleware1 } from "x402-express";
import { NETWORK, PAYEE, USDC, makeFacilitator } from "./chain.mjs";

const rpc = process.env.RPC;
const facilitator = makeFacilitator(rpc);

function listen(app) {
  return new Promise((resolve) => {
    const server = app.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
    server.keepAliveTimeout = 60000;
  });
}

function facilitatorApp() {
  const app = express().use(express.json({ limit: "1mb" }));
  app.get("/supported", (_, response) => response.json(facilitator.supported()));
  for (const step of ["verify", "settle"]) {
    app.post(`/${step}`, async (request, response) => {
      try {
        const { paymentPayload, paymentRequirements } = request.body;
        response.json(await facilitator[step](paymentPayload, paymentRequirements));
      } catch (error) {
        response.status(500).json({ error: String(error.message ?? error) });
      }
    });
  }
  return app;
}

const prices = {
  "GET /weather": "$0.01",
  "GET /report": "$0.50",
  "GET /dollar": "$1.00",
  "GET /whale": "$5.00",
  "POST /translate": "$0.02",
  "GET /stream": "$0.01",
  "GET /fails": "$0.01",
};

function addHandlers(app) {
  app.get("/free", (_, response) => response.json({ free: true }));
  app.get("/weather", (request, response) => response.json({ weather: "sunny", query: request.query }));
  app.get("/report", (_, response) => response.json({ report: "long" }));
  app.get("/dollar", (_, response) => response.json({ dollar: true }));
  app.get("/whale", (_, response) => response.json({ whale: true }));
  app.get("/fails", (_, response) => response.status(500).json({ error: "the handler failed" }));
  app.post("/translate", express.text({ type: "*/*", limit: "4mb" }), (request, response) =>
    response.json({ translated: request.body.toUpperCase() }));
  app.get("/stream", (_, response) => {
    response.setHeader("Content-Type", "text/event-stream");
    for (let i = 0; i < 5; i++) response.write(`data: event ${i}\n\n`);
    response.end();
  });
}

async function shop2(facilitatorUrl) {
  const server = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitatorUrl }))
    .register(NETWORK, new ExactEvmScheme());
  const routes = {};
  for (const [route, price] of Object.entries(prices)) {
    routes[route] = {
      accepts: { scheme: "exact", price, network: NETWORK, payTo: PAYEE, maxTimeoutSeconds: 60 },
      description: `the route ${route}`,
      mimeType: "application/json",
    };
  }
  const app = express();
  app.use(middleware2(routes, server));
  addHandlers(app);
  return listen(app);
}

async function shop1(facilitatorUrl) {
  const routes = {};
  for (const [route, price] of Object.entries(prices)) routes[route] = { price, network: "base-sepolia" };
  const app = express();
  app.use(middleware1(PAYEE, routes, { url: facilitatorUrl }));
  addHandlers(app);
  return listen(app);
}

// A shop that has its own idea of honesty. Every route asks 0.01 USDC in v2; what it does with the payment is the
// route's name. `kept` holds payments that it has not cashed yet; POST /cash cashes them all.
const kept = [];

function challenge(request, amount = "10000") {
  const requirements = {
    scheme: "exact", network: NETWORK, amount, asset: USDC, payTo: PAYEE, maxTimeoutSeconds: 60,
    extra: { name: "USDC", version: "2" },
  };
  const resource = { url: `http://${request.headers.host}${request.url}`, description: "", mimeType: "" };
  return { x402Version: 2, error: "Payment required", resource, accepts: [requirements] };
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString("base64");
}

function ask(request, response, more = {}) {
  response.setHeader("PAYMENT-REQUIRED", encode({ ...challenge(request), ...more }));
  response.status(402).json({});
}

const lies = {
  "refuse-but-cash": async (request, response, cash) => {
    await cash();
    ask(request, response, { error: "invalid_exact_evm_signature" });
  },
  "fail-but-cash": async (request, response, cash) => {
    const settled = await cash();
    response.setHeader("PAYMENT-RESPONSE", encode({ ...settled, success: false, errorReason: "unexpected_settle_error" }));
    response.status(402).json({});
  },
  "error-but-cash": async (_, response, cash) => {
    await cash();
    response.status(500).json({ error: "internal error" });
  },
  cut: async (request, _, cash) => {
    await cash();
    request.socket.destroy();
  },
  keep: async (request, response) => ask(request, response, { error: "invalid_exact_evm_signature" }),
  "keep-silent": async (request) => request.socket.destroy(),
  "serve-later": async (_, response) => response.json({ served: true }),
};

function liar() {
  const app = express();
  app.get("/lie/:how", async (request, response) => {
    const header = request.headers["payment-signature"];
    const lie = lies[request.params.how];
    if (lie === undefined) return response.status(404).end();
    if (header === undefined) return ask(request, response);
    const payload = JSON.parse(Buffer.from(header, "base64").toString());
    kept.push(payload);
    const cash = async () => {
      kept.pop();
      return facilitator.settle(payload, payload.accepted);
    };
    await lie(request, response, cash);
  });
  app.get("/kept", (_, response) => response.json(kept));
  app.post("/cash", async (_, response) => {
    const results = [];
    for (const payload of kept.splice(0)) {
      try {
        results.push(await facilitator.settle(payload, payload.accepted));
      } catch (error) {
        results.push({ success: false, errorReason: String(error.message ?? error) });
      }
    }
    response.json(results);
  });
  return listen(app);
}

const url = await listen(facilitatorApp());
console.log(JSON.stringify({ facilitator: url, v2: await shop2(url), v1: await shop1(url), liar: await liar() }));
process.stdin.on("end", () => process.exit(0)).resume();
