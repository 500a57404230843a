// Package ratelimit limits how often things happen.
package ratelimit
