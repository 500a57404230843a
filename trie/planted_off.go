//go:build !plantedbugs

package trie

// planted says whether a mistake is to be made on purpose: never, outside of the build
// that proves that the tests would find it.
func planted(bug) bool { return false }
