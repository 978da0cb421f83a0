package pftable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	timeout = time.Minute // of one pfctl; reading 200,000 entries takes a second
	grace   = time.Second // for a pfctl that was killed

	// What pfctl may print: 200,000 entries with counters are 100 MB, and
	// nothing that follows a complaint is read.
	maxStdout = 256 << 20
	maxStderr = 64 << 10
)

// run runs pfctl and waits for it, but not for ever: one that hangs is killed,
// and one that cannot be killed, because it sleeps in the kernel, is left.
func (t *Table) run(stdin []byte, args ...string) (stdout, stderr []byte, err error) {
	limit := t.Timeout
	if limit == 0 {
		limit = timeout
	}
	cmd := exec.Command(t.Pfctl, args...)
	// The later setting of a variable wins. Times are printed in TZ, where
	// UTC has no hour that comes twice.
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	// Never nil: os/exec would open /dev/null, which the sandbox forbids.
	out, complaint := &bounded{max: maxStdout}, &bounded{max: maxStderr}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), out, complaint
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", describe(args), unwrapPath(err, t.Pfctl))
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-time.After(limit):
		cmd.Process.Kill()
		select {
		case <-ended:
		case <-time.After(2 * grace):
		}
		return nil, nil, fmt.Errorf("%s: no answer in %v", describe(args), limit)
	}
	// A pfctl that fails may have left its input unread: the pipe's complaint
	// says less than its own.
	if err != nil {
		if why := reason(complaint.Bytes()); why != "" {
			return out.Bytes(), complaint.Bytes(), fmt.Errorf("%s: %w: %s", describe(args), err, why)
		}
		return out.Bytes(), complaint.Bytes(), fmt.Errorf("%s: %w", describe(args), err)
	}
	return out.Bytes(), complaint.Bytes(), nil
}

// describe names a call for an error: without the options of no interest.
func describe(args []string) string {
	text := "pfctl"
	for _, a := range args {
		if a == "-f" {
			break
		}
		if a != "-v" && a != "-vv" {
			text += " " + a
		}
	}
	return strings.ToValidUTF8(text, "?")
}

// unwrapPath takes "fork/exec" out of the error of a start.
func unwrapPath(err error, path string) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", path, p.Err)
	}
	return err
}

// bounded keeps what is written to it, up to a size.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		return 0, io.ErrShortWrite
	}
	return b.Buffer.Write(p)
}
