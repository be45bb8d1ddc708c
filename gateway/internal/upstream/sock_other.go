//go:build !unix

package upstream

// peek cannot look without taking here: every idle connection counts as gone, and none is used twice.
func peek(uintptr) state { return gone }
