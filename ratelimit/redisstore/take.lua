-- Decides on all requests, and then takes all or nothing.
-- KEYS: one for each request. ARGV: ten words for each, see redisstore.go.
-- Replies five numbers for each: 1 or 0, and what the decision tells of.
-- All numbers are whole and below 2^53, where doubles are exact.
local GCRA_LIKE, FIXED, LOG, COUNTER = 2, 3, 4, 5
local WORDS = 10

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function str(x) return string.format('%.0f', x) end

local function corrupt(key)
  return redis.error_reply('CORRUPT value at ' .. key)
end

-- load returns three numbers of a string value, or nothing if the key is not there;
-- false if it is something else.
local function load(key)
  local v = redis.pcall('GET', key)
  if type(v) == 'table' then return false end
  if not v then return nil end
  local a, b, c = string.match(v, '^(%d+) (%d+) (%d+)$')
  if not a or #a > 16 or #b > 16 or #c > 16 then return false end
  return tonumber(a), tonumber(b), tonumber(c)
end

local n_reqs = #KEYS
local out, writes, all = {}, {}, true

for i = 1, n_reqs do
  local key, at = KEYS[i], (i - 1) * WORDS
  local alg, mode = tonumber(ARGV[at + 1]), ARGV[at + 2]
  local n, quota, per = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local ok, w1, w2, w3, w4 = false, 0, 0, 0, 0

  if alg <= GCRA_LIKE then
    local cost, cost_f = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
    local tol, tol_f, e = tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
    local tat, frac, old_e = load(key)
    if tat == false then return corrupt(key) end
    if tat and old_e ~= e and frac > 0 then -- of another rate: up to the next microsecond
      tat, frac = tat + 1, 0
    end
    if not tat or tat < now then tat, frac = now, 0 end
    local delay = tat - now
    if frac > 0 then delay = delay + 1 end
    local nt, nf = tat + cost, frac + cost_f
    if nf >= e then nt, nf = nt + 1, nf - e end
    local used = nt - now
    ok = used < tol or (used == tol and nf <= tol_f)
    if mode == 'charge' then
      ok = true
      if used > 4503599627370496 then nt = now + 4503599627370496 end
    end
    w1, w2 = tat - now, frac
    if mode == 'take' or mode == 'charge' then
      writes[i] = function()
        out[(i - 1) * 5 + 2], out[(i - 1) * 5 + 3] = nt - now, nf
        out[(i - 1) * 5 + 4] = alg == GCRA_LIKE and delay or 0
        redis.call('SET', key, str(nt) .. ' ' .. str(nf) .. ' ' .. str(e), 'PX', str(math.floor((nt - now) / 1000) + 2))
      end
    end

  elseif alg == LOG then
    local top = redis.pcall('ZRANGE', key, -1, -1, 'WITHSCORES')
    if top.err then return corrupt(key) end
    local t = now
    if top[2] then
      local newest = tonumber(top[2])
      if not newest or newest < 0 or newest > 9007199254740992 or newest ~= math.floor(newest) then return corrupt(key) end
      t = math.max(now, newest) -- a clock that went back stands still
    end
    redis.call('ZREMRANGEBYSCORE', key, '-inf', str(t - per))
    local count = redis.call('ZCARD', key)
    ok = mode == 'charge' or count + n <= quota
    w1 = quota - count
    if count > 0 then
      w3 = tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]) + per - now
      if not ok and count + n > quota then
        local last = math.min(count + n - quota, count) - 1
        w2 = tonumber(redis.call('ZRANGE', key, last, last, 'WITHSCORES')[2]) + per - now
      end
    end
    if mode == 'take' or mode == 'charge' then
      writes[i] = function()
        -- A debt of more than two periods is not remembered.
        for j = 1, math.min(n, 2 * quota) do
          redis.call('ZADD', key, str(t), str(t) .. ':' .. str(count + j))
        end
        redis.call('PEXPIRE', key, str(math.floor((t - now + per) / 1000) + 2))
        out[(i - 1) * 5 + 2], out[(i - 1) * 5 + 4] = w1 - n, t - now + per
      end
    end

  else
    local stop, count, last = load(key)
    if stop == false then return corrupt(key) end
    local edge = now - now % per + per
    if not stop then
      stop, count, last = edge, 0, 0
    elseif now >= stop then
      last = (now < stop + per) and count or 0
      stop, count = edge, 0
    end
    if alg == FIXED then last = 0 end
    local left = math.min(stop - now, per)
    -- What has not slid out of the last window, rounded up.
    local weighed = math.ceil(last * left / per)
    ok = mode == 'charge' or weighed + count + n <= quota
    w1 = quota - weighed - count
    if count > 0 then
      w3 = alg == FIXED and left or left + per
    elseif last > 0 then
      w3 = left
    end
    if not ok then
      if alg == FIXED then
        w2 = left
      else
        local room = quota - count - n
        if room >= 0 and last > 0 then
          w2 = left - math.floor(room * per / last)
        else
          w2 = left
          if count > 0 then w2 = left + math.max(per - math.floor(math.max(quota - n, 0) * per / count), 0) end
        end
      end
    end
    if mode == 'take' or mode == 'charge' then
      writes[i] = function()
        local c = math.min(count + n, 4503599627370496)
        local ttl = stop - now
        if alg == COUNTER then ttl = ttl + per end
        redis.call('SET', key, str(stop) .. ' ' .. str(c) .. ' ' .. str(last), 'PX', str(math.floor(ttl / 1000) + 2))
        out[(i - 1) * 5 + 2] = quota - weighed - c
        out[(i - 1) * 5 + 4] = alg == FIXED and left or left + per
      end
    end
  end

  if mode == 'never' then ok = false end
  all = all and ok
  local o = (i - 1) * 5
  out[o + 1], out[o + 2], out[o + 3], out[o + 4], out[o + 5] = ok and 1 or 0, w1, w2, w3, w4
end

if all then
  for i = 1, n_reqs do
    if writes[i] then writes[i]() end
  end
else
  -- A limit that admits takes nothing either, and says so by what remains.
  for i = 1, n_reqs do
    if ARGV[(i - 1) * WORDS + 1] + 0 <= GCRA_LIKE then out[(i - 1) * 5 + 4] = 0 end
  end
end
return out
