module github.com/ashlar-go/ashlar/bench/peers

go 1.26.0

require (
	github.com/ashlar-go/ashlar v0.0.0
	github.com/transparency-dev/merkle v0.0.2
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
)

replace github.com/ashlar-go/ashlar => ../..
