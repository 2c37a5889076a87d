-- Send a rotating set of requests and check every answer.
--
-- wrk passes an answer to its thread without the request, so every thread has exactly one connection
-- (wrk -tN -cN): the answer then belongs to the thread's last request.
--
--   wrk -s load.lua URL -- FILE CONTENT_TYPE MODE PICTURES_PER_THREAD BEGIN END
--
-- FILE has one request per line, "<expected class>\t<body>". MODE says how to find the best
-- class of an answer: a Lua pattern, or "argmax" for a list of scores (then the class is a number).
-- Only answers from BEGIN to END count, in seconds of the monotonic clock: wrk starts its threads one
-- by one, the first are at work long before the last, and its own clock starts only then.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long s, ns; } moment;
  int clock_gettime(int clock, moment *now);
]]
local MONOTONIC = 1
local moment = ffi.new("moment")

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local function now()
  ffi.C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.s) + tonumber(moment.ns) / 1e9
end

local function requests(path)
  local found = {}
  for line in io.lines(path) do
    local expected, body = line:match("^([^\t]*)\t(.*)$")
    table.insert(found, { expected = expected, body = body })
  end
  return found
end

function init(args)
  local all = requests(args[1])
  local headers = { ["Content-Type"] = args[2] }
  mode = args[3]
  from, to = tonumber(args[5]), tonumber(args[6])
  mine, turn, wrong, refused, took_ms = {}, 0, 0, 0, {}
  for step = 1, math.min(tonumber(args[4]), #all) do
    local entry = all[(number * 7 + step) % #all + 1]
    entry.request = wrk.format("POST", nil, headers, entry.body)
    entry.body = nil
    table.insert(mine, entry)
  end
  ready = now()
end

function request()
  turn = turn % #mine + 1
  sent = now()
  return mine[turn].request
end

local function argmax(body)
  local best, at, index = -math.huge, -1, 0
  for text in body:match("%[%[(.-)%]"):gmatch("[^,%s]+") do
    local score = tonumber(text)
    if score > best then best, at = score, index end
    index = index + 1
  end
  return tostring(at)
end

function response(status, headers, body)
  local answered = now()
  if answered < from or answered >= to then return end
  if status ~= 200 then
    refused = refused + 1
    return
  end
  local answer
  if mode == "argmax" then answer = argmax(body) else answer = body:match(mode) end
  if answer ~= mine[turn].expected then wrong = wrong + 1 end
  table.insert(took_ms, (answered - sent) * 1e3)
end

function done(summary)
  local errors = summary.errors
  local wrong, refused, ready, took = 0, 0, 0, {}
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("wrong")
    refused = refused + thread:get("refused")
    ready = math.max(ready, thread:get("ready"))
    for _, ms in pairs(thread:get("took_ms")) do table.insert(took, string.format("%.3f", ms)) end
  end
  io.write(string.format(
    '\nRESULT {"ready": %f, "refused": %d, "wrong": %d, "broken": %d, "took_ms": [%s]}\n',
    ready, refused, wrong, errors.connect + errors.read + errors.write + errors.timeout,
    table.concat(took, ",")))
end
