-- POST bodies in turns: wrk … URL -- "Name: value"… FILE…; the last line printed is the result as JSON.
local requests, at = {}, 0

function init(args)
  for _, argument in ipairs(args) do
    local name, value = argument:match("^([%w-]+): (.*)$")
    if name then
      wrk.headers[name] = value
    else
      local file = assert(io.open(argument, "rb"))
      requests[#requests + 1] = wrk.format("POST", nil, nil, file:read("*a"))
      file:close()
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "statuses": %d, "sockets": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
