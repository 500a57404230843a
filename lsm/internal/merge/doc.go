// Package merge joins sorted sources of entries into one that can be walked both ways.
package merge
