package ports

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

func TestListen(t *testing.T) {
	l, err := Listen("127.0.0.1:0", "")
	require.NoError(t, err)
	taken := l.HTTP.Addr().String()
	_, err = Listen("", taken)
	require.Error(t, err)
	one, err := Listen("127.0.0.1:0", taken)
	require.Error(t, err)
	_, err = one.HTTP.Accept()
	require.ErrorIs(t, err, net.ErrClosed, "both or none")
	require.NoError(t, l.Close())
	require.NoError(t, Listeners{}.Close())
}

func TestBothProtocols(t *testing.T) {
	redis, err := resp.NewServer(resp.Options{Handler: func(c *resp.Conn, _ [][]byte) { c.Status("PONG") }})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"id": "n1"}`) })
	web := &http.Server{Handler: mux}
	l, err := Listen("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	o := Options{Listeners: l, HTTPServer: web, RedisServer: redis}
	p := Open(o)

	var status struct{ ID string }
	require.NoError(t, Status(t.Context(), http.DefaultClient, o.HTTP.Addr().String(), &status))
	require.Equal(t, "n1", status.ID)
	nc, err := net.Dial("tcp", o.Redis.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "PING\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(nc)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "+PONG\r\n", line)

	require.NoError(t, p.Close(t.Context()))
	require.NoError(t, p.Close(t.Context()))
	_, err = r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	for _, l := range []net.Listener{o.HTTP, o.Redis} {
		_, err := l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

// A request that does not end is cut off once the time for it is over.
func TestCloseCutsOff(t *testing.T) {
	under := make(chan struct{})
	web := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(under)
		<-r.Context().Done()
	})}
	l, err := Listen("127.0.0.1:0", "")
	require.NoError(t, err)
	require.Nil(t, l.Redis)
	o := Options{Listeners: l, HTTPServer: web}
	p := Open(o)
	failed := make(chan error, 1)
	go func() {
		_, err := http.Get("http://" + o.HTTP.Addr().String())
		failed <- err
	}()
	<-under
	now, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, p.Close(now))
	require.Error(t, <-failed)
}
