-- Ask about a rotating set of pictures and check every answer.
--
-- wrk hands an answer to its thread without saying which question it belongs to, so every thread
-- has exactly one connection (wrk -tN -cN): its last question is the one that was answered.
--
--   wrk -s load.lua URL -- FILE CONTENT_TYPE MODE PICTURES_PER_THREAD
--
-- FILE holds one question per line, "<expected class>\t<body>". MODE says how to find the best
-- class of an answer: a Lua pattern, or "argmax" for a list of scores (then the class is a number).

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local function questions(path)
  local found = {}
  for line in io.lines(path) do
    local expected, body = line:match("^([^\t]*)\t(.*)$")
    table.insert(found, { expected = expected, body = body })
  end
  return found
end

function init(args)
  local all = questions(args[1])
  local headers = { ["Content-Type"] = args[2] }
  mode = args[3]
  mine, turn, wrong, refused = {}, 0, 0, 0
  for step = 1, math.min(tonumber(args[4]), #all) do
    local question = all[(number * 7 + step) % #all + 1]
    question.request = wrk.format("POST", nil, headers, question.body)
    question.body = nil
    table.insert(mine, question)
  end
end

function request()
  turn = turn % #mine + 1
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
  if status ~= 200 then
    refused = refused + 1
    return
  end
  local answer
  if mode == "argmax" then answer = argmax(body) else answer = body:match(mode) end
  if answer ~= mine[turn].expected then wrong = wrong + 1 end
end

local function total(name)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + thread:get(name) end
  return sum
end

function done(summary, latency, requests)
  local errors = summary.errors
  local refusals = total("refused")
  io.write(string.format(
    '\nRESULT {"seconds": %f, "answers": %d, "refused": %d, "wrong": %d, "broken": %d, "p50_ms": %f, "p90_ms": %f, "p99_ms": %f, "max_ms": %f}\n',
    summary.duration / 1e6, summary.requests - refusals, refusals, total("wrong"),
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
