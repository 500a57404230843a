//go:build plantedbugs

package failover

// Planted is the mistake that nodes of this build make.
var Planted Bug

func planted(b Bug) bool { return Planted == b }
