package resp

import "strings"

// session answers the commands that concern the connection and not the system behind
// it. It reports whether the command was one of them.
func (s *Server) session(c *Conn, args [][]byte) bool {
	switch string(args[0]) {
	case "PING":
		switch len(args) {
		case 1:
			c.Status("PONG")
		case 2:
			c.Bulk(args[1])
		default:
			WrongArgs(c, args[0])
		}
	case "ECHO":
		if len(args) != 2 {
			WrongArgs(c, args[0])
			break
		}
		c.Bulk(args[1])
	case "HELLO":
		s.hello(c, args)
	case "CLIENT":
		client(c, args)
	case "COMMAND":
		// Clients ask for hints at start; all of them cope with knowing nothing.
		if len(args) > 1 && strings.EqualFold(string(args[1]), "COUNT") {
			c.Int(0)
			break
		}
		if len(args) > 1 && strings.EqualFold(string(args[1]), "DOCS") {
			c.Map(0)
			break
		}
		c.Array(0)
	case "SELECT":
		if len(args) != 2 {
			WrongArgs(c, args[0])
			break
		}
		if string(args[1]) != "0" {
			c.Error("ERR DB index is out of range")
			break
		}
		c.Status("OK")
	case "RESET":
		c.proto, c.name = 2, ""
		c.Status("RESET")
	case "QUIT":
		c.quit = true
		c.Status("OK")
	default:
		return false
	}
	return true
}

// hello switches the protocol and describes the server.
func (s *Server) hello(c *Conn, args [][]byte) {
	rest := args[1:]
	if len(rest) > 0 {
		switch string(rest[0]) {
		case "2":
			c.proto = 2
		case "3":
			c.proto = 3
		default:
			c.Error("NOPROTO unsupported protocol version")
			return
		}
		rest = rest[1:]
	}
	for len(rest) > 0 {
		switch opt := strings.ToUpper(string(rest[0])); {
		case opt == "SETNAME" && len(rest) >= 2:
			c.name = string(rest[1])
			rest = rest[2:]
		case opt == "AUTH":
			c.Error("ERR AUTH called without any password configured")
			return
		default:
			c.Error("ERR syntax error in HELLO")
			return
		}
	}
	c.Map(6)
	c.BulkString("server")
	c.BulkString("redis")
	c.BulkString("version")
	c.BulkString(s.o.Version)
	c.BulkString("proto")
	c.Int(int64(c.proto))
	c.BulkString("id")
	c.Int(c.id)
	c.BulkString("mode")
	c.BulkString("standalone")
	c.BulkString("role")
	c.BulkString("master")
}

func client(c *Conn, args [][]byte) {
	if len(args) < 2 {
		WrongArgs(c, args[0])
		return
	}
	switch strings.ToUpper(string(args[1])) {
	case "SETNAME":
		if len(args) != 3 {
			WrongArgs(c, args[0])
			return
		}
		c.name = string(args[2])
		c.Status("OK")
	case "GETNAME":
		c.BulkString(c.name)
	case "ID":
		c.Int(c.id)
	case "SETINFO", "NO-EVICT", "NO-TOUCH":
		c.Status("OK")
	default:
		c.Error("ERR unknown subcommand '" + clip(args[1]) + "'. Try CLIENT SETNAME.")
	}
}

// WrongArgs writes the reply to a command with a wrong number of arguments.
func WrongArgs(c *Conn, name []byte) {
	c.Error("ERR wrong number of arguments for '" + strings.ToLower(clip(name)) + "' command")
}

// Unknown writes the reply to a command that the system does not have.
func Unknown(c *Conn, name []byte) {
	c.Error("ERR unknown command '" + clip(name) + "'")
}

// clip shortens a peer's bytes for an error text.
func clip(b []byte) string {
	if len(b) > 64 {
		b = b[:64]
	}
	return string(b)
}
