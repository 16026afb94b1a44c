# Scripts, samples and programs that are not installed as part of the gate.
