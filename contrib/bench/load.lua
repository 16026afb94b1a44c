-- For wrk: requests with absolute URIs, as a proxy's clients send them. ORIGIN is host:port, or empty for a server that is
-- asked directly; AUTHORIZATION the Proxy-Authorization value or empty; WHERE the path; with UNIQUE=yes each URL is new.
local origin = os.getenv("ORIGIN") or ""
local authorization = os.getenv("AUTHORIZATION") or ""
local where = os.getenv("WHERE") or "/"
local unique = os.getenv("UNIQUE") == "yes"
local threads = 0

function setup(thread)
   thread:set("id", threads)
   threads = threads + 1
end

local head, tail, fixed
local count = 0

function init(args)
   local host = origin ~= "" and origin or (wrk.host .. ":" .. wrk.port)
   local target = (origin ~= "" and "http://" .. origin or "") .. where
   local fields = "Host: " .. host .. "\r\n"
   if authorization ~= "" then fields = fields .. "Proxy-Authorization: " .. authorization .. "\r\n" end
   head = "GET " .. target
   tail = " HTTP/1.1\r\n" .. fields .. "\r\n"
   fixed = head .. tail
   head = head .. "?run=" .. (os.getenv("RUN") or "0") .. "&n=" .. id .. "-"
end

function request()
   if not unique then return fixed end
   count = count + 1
   return head .. count .. tail
end

function done(summary, latency, requests)
   io.write(string.format("RESULT %d %d %d %.1f %.1f %.1f %d\n", summary.requests, summary.errors.status,
      summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max, summary.duration))
end
