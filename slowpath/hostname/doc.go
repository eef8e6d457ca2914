// Package hostname cleans the names that clients give themselves: hostname-char-set
// and hostname-char-replacement (DN-009).
package hostname
