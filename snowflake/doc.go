// Package snowflake makes time-ordered 63-bit ids that stay unique when the clock, the
// process and the lease of the worker do not hold.
package snowflake
