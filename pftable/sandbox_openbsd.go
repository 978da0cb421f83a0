package pftable

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sandbox gives up all that the rest of a run does not need: see unveil(2) and
// pledge(2). Of files, the logs and the folders they are in can be read, and
// pfctl can be run.
func Sandbox(pfctl string, logs []string) error {
	// Go reads the time zone when it is first asked for, which must be now.
	time.Now().Local().Zone()

	type path struct{ name, rights string }
	paths := []path{{pfctl, "x"}, {"/dev/log", "rw"}} // log/syslog dials /dev/log anew if syslogd was restarted
	for _, log := range logs {
		if log == "-" {
			continue
		}
		paths = append(paths, path{filepath.Dir(log), "r"})
		if file, err := filepath.EvalSymlinks(log); err == nil {
			paths = append(paths, path{file, "r"})
		}
	}
	for _, p := range paths {
		// What is not there cannot be opened; that is said better then.
		if err := unix.Unveil(p.name, p.rights); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("unveil %s: %w", p.name, err)
		}
	}
	if err := unix.UnveilBlock(); err != nil {
		return fmt.Errorf("unveil: %w", err)
	}
	promises := []string{
		"stdio", // read, write, threads, memory
		"rpath", // open the logs
		"proc",  // fork; kill a pfctl that hangs; set a child's limits, as os/exec does
		"exec",  // pfctl, which is not bound by these promises
		"unix",  // syslogd's socket
	}
	if err := unix.PledgePromises(strings.Join(promises, " ")); err != nil {
		return fmt.Errorf("pledge: %w", err)
	}
	return nil
}
