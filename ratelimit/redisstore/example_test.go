package redisstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
	"github.com/ashlar-go/ashlar/ratelimit/redisstore"
)

// recorder stands for a client's connection: it prints what is sent, and answers as a server
// would that has not seen the key.
type recorder struct{}

func (recorder) Do(_ context.Context, args ...any) (any, error) {
	fmt.Println(args[0], args[2], args[3])
	return []any{int64(1), int64(600_000_000), int64(0), int64(0), int64(0)}, nil
}

func ExampleStore() {
	store, err := redisstore.New(recorder{}, redisstore.Options{Prefix: "{rl}:"})
	if err != nil {
		fmt.Println(err)
		return
	}
	limits, err := ratelimit.NewShared(store, ratelimit.SharedOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer limits.Close()
	hour := ratelimit.Limit{Name: "hour", Events: 6, Per: time.Hour, Burst: 6}
	d, err := limits.Take(context.Background(), ratelimit.Request{Key: "user:ada", Limit: hour, N: 1})
	fmt.Println(d, err)
	// Output:
	// EVALSHA 1 {rl}:8:user:ada:hour:g
	// admitted by "hour": 5 of 6 left, full in 10m0s <nil>
}
