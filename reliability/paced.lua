-- wrk: POSTs the bodies of one file in turn, each connection with a pause of some
-- milliseconds on average. Arguments: a file with one JSON body per line, the pause.
local requests = {}
local at = 0
local pause = 0

function init(args)
  pause = tonumber(args[2])
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", "/v1/traces", {
      ["Content-Type"] = "application/json",
      ["Host"] = "reliability.test",
    }, body)
  end
end

function delay()
  return pause > 0 and math.random(0, 2 * pause) or 0
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "RESULT {\"requests\": %d, \"microseconds\": %d, \"errors\": %d, \"p99\": %d}\n",
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout, latency:percentile(99)))
end
