//go:build !plantedbugs

package failover

// planted says whether a mistake is to be made on purpose: never, outside of the build
// that proves that the simulation would find it.
func planted(Bug) bool { return false }
