package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/snowflake"
)

// TestHTTPAnswers: whatever a node sends, a client has so many increasing ids, or an error.
func TestHTTPAnswers(t *testing.T) {
	answer, code := "", 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if code != 200 {
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(code)
		fmt.Fprint(w, answer)
	}))
	defer s.Close()
	c := NewHTTP(strings.TrimPrefix(s.URL, "http://"))
	defer c.Close()
	answer = "1\n2\n"
	ids, err := c.Take(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, []snowflake.ID{1, 2}, ids)
	for _, answer = range []string{"", "1\n", "1\n2\n3\n", "2\n1\n", "1\n1\n", "1\n-2\n", "1\n\n2\n", "1 2\n", "one\ntwo\n", "9223372036854775808\n1\n"} {
		_, err := c.Take(t.Context(), 2)
		require.ErrorIs(t, err, ErrAnswer, "%q", answer)
	}
	code, answer = 503, "not now\n"
	_, err = c.Take(t.Context(), 2)
	refused, ok := errors.AsType[*Refused](err)
	require.True(t, ok)
	require.Equal(t, Refused{"503", "not now", 7 * time.Second}, *refused)
	s.Close()
	_, err = c.Take(t.Context(), 2)
	require.Error(t, err)
}

// TestRedisAnswers is the same over the other protocol. A connection on which an answer is
// owed is not used again.
func TestRedisAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	answers, heard := make(chan string, 1), make(chan struct{}, 100)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				for r := bufio.NewReader(nc); ; {
					for range 5 { // the lines of a command of two words
						if _, err := r.ReadString('\n'); err != nil {
							return
						}
					}
					heard <- struct{}{}
					nc.Write([]byte(<-answers))
				}
			}()
		}
	}()
	c := NewRedis(l.Addr().String())
	defer c.Close()
	ask := func(answer string) ([]snowflake.ID, error) {
		answers <- answer
		return c.Take(t.Context(), 2)
	}
	ids, err := ask("*2\r\n$1\r\n1\r\n$1\r\n2\r\n")
	require.NoError(t, err)
	require.Equal(t, []snowflake.ID{1, 2}, ids)
	for _, answer := range []string{"*0\r\n", "*1\r\n$1\r\n1\r\n", "*2\r\n$1\r\n2\r\n$1\r\n1\r\n", "+OK\r\n", "$1\r\n1\r\n", "*2\r\n:1\r\n:2\r\n"} {
		_, err := ask(answer)
		require.ErrorIs(t, err, ErrAnswer, "%q", answer)
	}
	_, err = ask("-TRYAGAIN not now\r\n")
	refused, ok := errors.AsType[*Refused](err)
	require.True(t, ok)
	require.Equal(t, Refused{Code: "TRYAGAIN", Text: "not now"}, *refused)
	_, err = ask("what\r\n")
	require.Error(t, err)

	for len(heard) > 0 {
		<-heard
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-heard
		cancel()
	}()
	_, err = c.Take(ctx, 2)
	require.Error(t, err)
	answers <- "*2\r\n$1\r\n8\r\n$1\r\n9\r\n" // comes on the old connection, if anywhere
	answers <- "*2\r\n$1\r\n3\r\n$1\r\n4\r\n"
	ids, err = c.Take(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, []snowflake.ID{3, 4}, ids)
}
