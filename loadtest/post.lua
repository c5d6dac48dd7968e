-- wrk: POSTs the bodies of one file in turn, and prints what compare reads.
-- Arguments: a file with one JSON body per line.
local requests = {}
local at = 0

function init(args)
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", "/v1/traces", {
      ["Content-Type"] = "application/json",
      ["Host"] = "load.test",
    }, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "RESULT {\"requests\": %d, \"microseconds\": %d, \"errors\": %d, \"p50\": %d, \"p99\": %d}\n",
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
