// Package client speaks to the nodes of a store over HTTP: [Client] is an api.Store for
// programs, [Main] runs the commands put, get, del, scan, load and status.
//
//	c, err := client.New(client.Options{Addrs: []string{"127.0.0.1:8001", "127.0.0.1:8002"}})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	_, err = c.Put(ctx, []byte("net/http/server.go"), source, api.WriteOptions{})
//
// # What a client may assume
//
// Calls go to the nodes in turn. A read that fails is asked of the next node, and of the
// one after that, within the same time-out. A write is not, unless it is sure that nothing
// has happened: the node could not be dialled, or it answered that it is closing. A write
// that was sent and got no answer is api.ErrUnknown, and the caller decides, for a second
// write is a second event in the history of its key. So an error of a write says
//
//	api.ErrUnknown       sent; it may or may not have happened
//	api.ErrUnavailable   not acknowledged; never sent, or too few replicas took it
//	any other            refused; nothing happened
//
// A node that cannot be reached is asked last for a second, so that one dead machine does
// not cost every n-th call a dial's time-out.
//
// Every error matches one of package api's, or [ErrRefused]. A time-out or cancellation
// matches context's error as well.
package client
