package recorded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Skipped is the exit status of a test inside that lacks something.
const Skipped = 3

// Skip skips a test, or fails it if BAN_SMTPD_REAL=must.
func Skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("BAN_SMTPD_REAL") == "must" {
		t.Fatalf("%s, but BAN_SMTPD_REAL=must", why)
	}
	t.Skip(why)
}

// Need skips a test of real daemons where it cannot be run. root.sh makes the
// Debian with these packages, unless it is there and has the program.
func Need(t *testing.T, suite, root, program, packages string) {
	t.Helper()
	if os.Getuid() != 0 {
		Skip(t, "SKIPPED: not root")
	}
	if testing.Short() {
		Skip(t, "SKIPPED: -short")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		Skip(t, "SKIPPED: no ip, which is in iproute2")
	}
	if out, err := exec.Command("sh", "../recorded/root.sh", suite, root, program, packages).CombinedOutput(); err != nil {
		Skip(t, "SKIPPED: no "+root+": "+strings.TrimSpace(string(out)))
	}
}

// Inside runs the test itself once more, in namespaces of its own, with these
// environment variables, and returns what it printed. It is the first process
// of a PID namespace: when it ends, or is killed, then so is every daemon, and
// the network and the mounts vanish with the last of them.
func Inside(t *testing.T, longest time.Duration, env ...string) (out string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), append(env, "TZ=UTC")...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig: syscall.SIGKILL,
	}
	// Pdeathsig is sent at the end of the thread, not of the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		Skip(t, "SKIPPED: no namespaces: "+err.Error())
	}
	err = cmd.Wait()
	out = strings.TrimSpace(printed.String())
	if status := (*exec.ExitError)(nil); errors.As(err, &status) && status.ExitCode() == Skipped {
		Skip(t, out)
	}
	return out, err
}

// SetUp makes this process' namespaces a machine with a Debian on it, and with
// these addresses, and returns where its root is. The
// Debian itself is not written to: what is changed lies in a tmpfs.
func SetUp(root, dir string, addrs []netip.Addr) (merged string, err error) {
	if err := syscall.Sethostname([]byte("mail")); err != nil {
		return "", fmt.Errorf("sethostname: %v", err)
	}
	tmp := filepath.Join(dir, "tmp")
	merged = filepath.Join(dir, "root")
	upper, work := filepath.Join(tmp, "upper"), filepath.Join(tmp, "work")
	if err := errors.Join(os.Mkdir(tmp, 0o755), os.Mkdir(merged, 0o755)); err != nil {
		return "", err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("mount / private: %v", err)
	}
	if err := syscall.Mount("tmpfs", tmp, "tmpfs", 0, "mode=755"); err != nil {
		return "", fmt.Errorf("mount tmpfs: %v", err)
	}
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return "", err
	}
	layers := "lowerdir=" + root + ",upperdir=" + upper + ",workdir=" + work
	if err := syscall.Mount("overlay", merged, "overlay", 0, layers); err != nil {
		return "", fmt.Errorf("mount overlay: %v", err)
	}
	if err := syscall.Mount("proc", filepath.Join(merged, "proc"), "proc", 0, ""); err != nil {
		return "", fmt.Errorf("mount proc: %v", err)
	}

	// All addresses are on lo, so that no packet can leave.
	batch := "link set lo up\n"
	for _, a := range addrs {
		batch += fmt.Sprintf("address add %v/%d dev lo", a, a.BitLen())
		if a.Is6() {
			batch += " nodad"
		}
		batch += "\n"
	}
	ip := exec.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(batch)
	if out, err := ip.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %v: %s", ip, err, out)
	}
	return merged, nil
}
