-- wrk: POSTs the bodies of one file in turn, and prints what compare and the soak read.
-- Arguments: a file with one JSON body per line; if each connection shall pause
-- between requests, for how many milliseconds on average.
local requests = {}
local at = 0

function init(args)
  local pause = tonumber(args[2] or 0)
  if pause > 0 then
    -- Without it wrk asks nothing between two requests.
    function delay()
      return math.random(0, 2 * pause)
    end
  end
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
