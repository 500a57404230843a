package command

// NewTable is the table of all commands.
func NewTable() Table {
	t := Table{}
	add := func(f Flag, first, last, step int, specs ...Spec) {
		for _, s := range specs {
			s.Flags |= f
			s.First, s.Last, s.Step = first, last, step
			t[s.Name] = &s
		}
	}
	one := func(f Flag, specs ...Spec) { add(f, 1, 1, 1, specs...) }
	run := func(name string, arity int, f func(*Ctx)) Spec { return Spec{Name: name, Arity: arity, Run: f} }
	served := func(name string, arity int, f Flag) Spec { return Spec{Name: name, Arity: arity, Flags: f} }

	one(Read,
		run("GET", 2, get), run("STRLEN", 2, strlen), run("GETRANGE", 4, getrange), run("SUBSTR", 4, getrange),
		run("TTL", 2, ttl), run("PTTL", 2, pttl), run("EXPIRETIME", 2, expiretime), run("PEXPIRETIME", 2, pexpiretime),
		run("TYPE", 2, typeOf), run("DUMP", 2, dump),
		run("LLEN", 2, llen), run("LRANGE", 4, lrange), run("LINDEX", 3, lindex),
		run("SMEMBERS", 2, smembers), run("SISMEMBER", 3, sismember), run("SMISMEMBER", -3, smismember), run("SCARD", 2, scard),
		run("SRANDMEMBER", -2, srandmember), run("SSCAN", -3, sscan),
		run("HGET", 3, hget), run("HMGET", -3, hmget), run("HGETALL", 2, hgetall), run("HKEYS", 2, hkeys), run("HVALS", 2, hvals),
		run("HEXISTS", 3, hexists), run("HLEN", 2, hlen), run("HSTRLEN", 3, hstrlen), run("HSCAN", -3, hscan),
		run("ZSCORE", 3, zscore), run("ZMSCORE", -3, zmscore), run("ZCARD", 2, zcard), run("ZRANK", 3, zrank), run("ZREVRANK", 3, zrevrank),
		run("ZRANGE", -4, zrange), run("ZREVRANGE", -4, zrevrange), run("ZRANGEBYSCORE", -4, zrangebyscore),
		run("ZREVRANGEBYSCORE", -4, zrevrangebyscore), run("ZRANGEBYLEX", -4, zrangebylex), run("ZREVRANGEBYLEX", -4, zrevrangebylex),
		run("ZCOUNT", 4, zcount), run("ZLEXCOUNT", 4, zlexcount), run("ZSCAN", -3, zscan),
	)
	one(Write|Grows,
		run("SET", -3, set), run("SETNX", 3, setnx), run("SETEX", 4, setex), run("PSETEX", 4, psetex), run("GETSET", 3, getset),
		run("APPEND", 3, appendTo), run("SETRANGE", 4, setrange), run("INCR", 2, incr), run("DECR", 2, decr),
		run("INCRBY", 3, incrby), run("DECRBY", 3, decrby), run("INCRBYFLOAT", 3, incrbyfloat),
		run("LPUSH", -3, lpush), run("RPUSH", -3, rpush), run("LPUSHX", -3, lpushx), run("RPUSHX", -3, rpushx),
		run("LSET", 4, lset), run("LINSERT", 5, linsert),
		run("SADD", -3, sadd), run("HSET", -4, hset), run("HMSET", -4, hmset), run("HSETNX", 4, hsetnx),
		run("HINCRBY", 4, hincrby), run("HINCRBYFLOAT", 4, hincrbyfloat),
		run("ZADD", -4, zadd), run("ZINCRBY", 4, zincrby), run("RESTORE", -4, restore),
	)
	one(Write,
		run("GETDEL", 2, getdel), run("GETEX", -2, getex),
		run("EXPIRE", -3, expire), run("PEXPIRE", -3, pexpire), run("EXPIREAT", -3, expireat), run("PEXPIREAT", -3, pexpireat),
		run("PERSIST", 2, persist), run("LPOP", -2, lpop), run("RPOP", -2, rpop), run("LREM", 4, lrem), run("LTRIM", 4, ltrim),
		run("SREM", -3, srem), run("SPOP", -2, spop), run("HDEL", -3, hdel),
		run("ZREM", -3, zrem), run("ZPOPMIN", -2, zpopmin), run("ZPOPMAX", -2, zpopmax),
		run("ZREMRANGEBYRANK", 4, zremrangebyrank), run("ZREMRANGEBYSCORE", 4, zremrangebyscore), run("ZREMRANGEBYLEX", 4, zremrangebylex),
	)
	add(Read, 1, -1, 1, run("MGET", -2, mget), run("EXISTS", -2, exists), run("TOUCH", -2, touch),
		run("SINTER", -2, sinter), run("SUNION", -2, sunion), run("SDIFF", -2, sdiff))
	add(Write, 1, -1, 1, run("DEL", -2, del), run("UNLINK", -2, del))
	add(Write|Grows, 1, -1, 1, run("SINTERSTORE", -3, sinterstore), run("SUNIONSTORE", -3, sunionstore), run("SDIFFSTORE", -3, sdiffstore))
	add(Write|Grows, 1, -1, 2, run("MSET", -3, mset), run("MSETNX", -3, msetnx))
	add(Write|Grows, 1, 2, 1, run("COPY", -3, copyKey), run("RPOPLPUSH", 3, rpoplpush), run("LMOVE", 5, lmove), run("SMOVE", 4, smove))
	add(Write, 1, 2, 1, run("RENAME", 3, rename), run("RENAMENX", 3, renamenx))
	add(Read, 2, 2, 1, run("OBJECT", -3, object), run("MEMORY", -2, memory))
	add(Write|Grows, 0, 0, 0, run("ZUNIONSTORE", -4, zunionstore), run("ZINTERSTORE", -4, zinterstore))
	add(Read, 0, 0, 0, run("KEYS", 2, keys), run("SCAN", -2, scan), run("RANDOMKEY", 1, randomkey), run("DBSIZE", 1, dbsize))
	add(Write, 0, 0, 0, run("FLUSHALL", -1, flush), run("FLUSHDB", -1, flush))

	add(0, 0, 0, 0,
		served("PING", -1, PubSub), served("ECHO", 2, 0), served("QUIT", -1, PubSub|Always), served("RESET", 1, PubSub|Always),
		served("HELLO", -1, NoMulti), served("AUTH", -2, NoMulti), served("SELECT", 2, 0), served("CLIENT", -2, Admin), served("COMMAND", -1, 0), served("TIME", 1, 0),
		served("MULTI", 1, Always), served("EXEC", 1, Always), served("DISCARD", 1, Always),
		served("WATCH", -2, Always), served("UNWATCH", 1, Always),
		served("SUBSCRIBE", -2, PubSub|NoMulti), served("UNSUBSCRIBE", -1, PubSub|NoMulti),
		served("PSUBSCRIBE", -2, PubSub|NoMulti), served("PUNSUBSCRIBE", -1, PubSub|NoMulti),
		served("PUBLISH", 3, 0), served("PUBSUB", -2, 0),
		served("INFO", -1, 0), served("CONFIG", -2, Admin), served("SAVE", 1, Admin|NoMulti), served("BGSAVE", -1, Admin|NoMulti), served("LASTSAVE", 1, 0), served("SLOWLOG", -2, 0), served("LATENCY", -2, 0),
		served("ROLE", 1, 0), served("WAIT", 3, NoMulti),
		served("CLUSTER", -2, Admin), served("ASKING", 1, 0), served("READONLY", 1, 0), served("READWRITE", 1, 0), served("MIGRATE", -6, NoMulti),
		served("BUS", 3, Admin|NoMulti), served("SYNCFROM", 5, Admin|NoMulti), served("SYNCACK", 2, Admin|NoMulti),
	)
	return t
}
