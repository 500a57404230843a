//go:build plantedbugs

package trie

// plantedBug is the mistake that this build makes.
var plantedBug bug

func planted(b bug) bool { return plantedBug == b }
