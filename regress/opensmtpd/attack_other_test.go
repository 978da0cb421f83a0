//go:build !linux

package opensmtpd_test

import "testing"

func TestAttack(t *testing.T) {
	t.Skip("SKIPPED: not Linux")
}
