// Package resp speaks the Redis serialisation protocol, versions 2 and 3, so that
// redis-cli, redis-benchmark and every Redis client library can talk to the systems
// under examples/.
//
// [Server] accepts connections, reads pipelined commands within [Limits], answers the
// commands that belong to the connection itself (PING, ECHO, HELLO, CLIENT, COMMAND,
// SELECT, RESET, QUIT) and hands all others to a [Handler]. [Client] is the little that
// tests and load generators need of the other side.
//
// Whatever bytes a peer sends, memory stays within the limits, a malformed frame is
// answered with a protocol error before the connection is closed, as Redis does, and
// nothing panics. Memory grows with the bytes that arrive, never with the length that
// a header merely announces.
//
// The protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/
package resp
