//go:build !linux

package daemons_test

import "testing"

func TestAttack(t *testing.T) {
	t.Skip("SKIPPED: not Linux")
}
