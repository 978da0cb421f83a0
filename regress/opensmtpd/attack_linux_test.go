package opensmtpd_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"ban_smtpd/regress/recorded"
)

const (
	// The test runs itself once more, in namespaces of its own, to be the mail
	// server and its clients there. This names the Debian and the folder for
	// the log and the truth.
	insideRoot = "BAN_SMTPD_INSIDE_ROOT"
	insideDir  = "BAN_SMTPD_INSIDE_DIR"

	longest = 2 * time.Minute // of the whole attack
	skipped = 3               // exit status: the namespaces lack something
)

func TestMain(m *testing.M) {
	root, dir := os.Getenv(insideRoot), os.Getenv(insideDir)
	if root == "" {
		os.Exit(m.Run())
	}
	s, err := setUp(root, dir)
	if err != nil {
		fmt.Println("SKIPPED:", err)
		os.Exit(skipped)
	}
	if err := s.run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// TestAttack skips itself where something is missing. BAN_SMTPD_REAL=must
// makes that a failure; BAN_SMTPD_SUITE is the Debian to take instead of
// trixie; BAN_SMTPD_UPDATE=1 keeps the log as test data.
//
// Debian 12's own OpenSMTPD cannot do TLS, and without TLS it offers no AUTH.
func TestAttack(t *testing.T) {
	suite := cmp.Or(os.Getenv("BAN_SMTPD_SUITE"), "trixie")
	root := cmp.Or(os.Getenv("ROOT"), "/var/tmp/ban_smtpd-"+suite)
	if os.Getuid() != 0 {
		skip(t, "SKIPPED: not root")
	}
	if testing.Short() {
		skip(t, "SKIPPED: -short")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		skip(t, "SKIPPED: no ip, which is in iproute2")
	}
	if out, err := exec.Command("sh", "../recorded/root.sh", suite, root, "/usr/sbin/smtpd", "opensmtpd,rsyslog,openssl").CombinedOutput(); err != nil {
		skip(t, "SKIPPED: no "+root+": "+strings.TrimSpace(string(out)))
	}

	dir := t.TempDir()
	out, err := inside(t, root, dir)
	if status := (*exec.ExitError)(nil); errors.As(err, &status) && status.ExitCode() == skipped {
		skip(t, strings.TrimSpace(out))
	}
	if err != nil {
		t.Fatalf("attack: %v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))

	logs, err := filepath.Glob(filepath.Join(dir, "*.truth"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("the attack left %q, want one", logs)
	}
	base := strings.TrimSuffix(logs[0], ".truth")
	check(t, base)
	if os.Getenv("BAN_SMTPD_UPDATE") == "1" && !t.Failed() {
		keep(t, base)
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("BAN_SMTPD_REAL") == "must" {
		t.Fatalf("%s, but BAN_SMTPD_REAL=must", why)
	}
	t.Skip(why)
}

// inside runs the attack and returns what it printed. It is the first process
// of a PID namespace: when it ends, or is killed, then so is every daemon, and
// the network and the mounts vanish with the last of them.
func inside(t *testing.T, root, dir string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), insideRoot+"="+root, insideDir+"="+dir, "TZ=UTC")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig: syscall.SIGKILL,
	}
	// Pdeathsig is sent at the end of the thread, not of the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		skip(t, "SKIPPED: no namespaces: "+err.Error())
	}
	err = cmd.Wait()
	return out.String(), err
}

// keep makes what the attack left test data.
func keep(t *testing.T, base string) {
	t.Helper()
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{".log", ".iso.log", ".truth", ".over"} {
		name := filepath.Join("testdata", filepath.Base(base)+kind)
		if err := os.WriteFile(name, recorded.Read(t, base+kind), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// server is a Debian in which rsyslogd and smtpd run.
type server struct {
	root   string // its root folder
	dir    string // where the log and the truth go
	syslog *exec.Cmd
	smtpd  *exec.Cmd
}

// serverAddr is where smtpd listens for the clients of each family.
var (
	server4 = netip.MustParseAddr("192.0.2.1")
	server6 = netip.MustParseAddr("2001:db8:ffff::1")
)

// The password is right for each of the users below.
const (
	password = "correct horse"
	rsyslog  = `module(load="imuxsock" SysSock.RateLimit.Interval="0")
mail.* action(type="omfile" file="/var/log/bsd" template="RSYSLOG_TraditionalFileFormat")
mail.* action(type="omfile" file="/var/log/iso" template="RSYSLOG_FileFormat")
`
	smtpdConf = `pki p cert "/etc/ssl/certs/ca-certificates.crt"
pki p key "/etc/key.pem"
table creds file:/etc/creds
listen on 192.0.2.1 port 25 tls pki p auth-optional <creds>
listen on 192.0.2.1 port 465 smtps pki p auth <creds>
listen on 2001:db8:ffff::1 port 25 tls pki p auth-optional <creds>
listen on 2001:db8:ffff::1 port 465 smtps pki p auth <creds>
action "sink" mda "/bin/true" virtual { "@" = nobody }
match from any for domain "example.test" action "sink"
`
)

// setUp makes this process' namespaces a machine with a mail server on it. The
// Debian itself is not written to: what is changed lies in a tmpfs.
func setUp(root, dir string) (*server, error) {
	if err := syscall.Sethostname([]byte("mail")); err != nil {
		return nil, fmt.Errorf("sethostname: %v", err)
	}
	tmp, merged := filepath.Join(dir, "tmp"), filepath.Join(dir, "root")
	upper, work := filepath.Join(tmp, "upper"), filepath.Join(tmp, "work")
	if err := errors.Join(os.Mkdir(tmp, 0o755), os.Mkdir(merged, 0o755)); err != nil {
		return nil, err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("mount / private: %v", err)
	}
	if err := syscall.Mount("tmpfs", tmp, "tmpfs", 0, "mode=755"); err != nil {
		return nil, fmt.Errorf("mount tmpfs: %v", err)
	}
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return nil, err
	}
	layers := "lowerdir=" + root + ",upperdir=" + upper + ",workdir=" + work
	if err := syscall.Mount("overlay", merged, "overlay", 0, layers); err != nil {
		return nil, fmt.Errorf("mount overlay: %v", err)
	}
	if err := syscall.Mount("proc", filepath.Join(merged, "proc"), "proc", 0, ""); err != nil {
		return nil, fmt.Errorf("mount proc: %v", err)
	}

	// All addresses are on lo, so that no packet can leave.
	batch := "link set lo up\n"
	for _, a := range append(addresses(), server4, server6) {
		batch += fmt.Sprintf("address add %v/%d dev lo", a, a.BitLen())
		if a.Is6() {
			batch += " nodad"
		}
		batch += "\n"
	}
	ip := exec.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(batch)
	if out, err := ip.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %v: %s", ip, err, out)
	}
	return &server{root: merged, dir: dir}, nil
}

// run attacks the server and writes down what it logged, and the truth.
func (s *server) run() error {
	if err := s.start(); err != nil {
		return err
	}
	began := time.Now()
	truths, err := attack()
	if err != nil {
		return err
	}
	lasted := time.Since(began)
	if err := s.stop(); err != nil {
		return err
	}

	version, err := s.command("/usr/bin/dpkg-query", "-W", "-f", "${Version}", "opensmtpd").Output()
	if err != nil {
		return fmt.Errorf("dpkg-query: %v", err)
	}
	upstream, _, _ := strings.Cut(string(version), "-")
	base := filepath.Join(s.dir, "opensmtpd-"+upstream)
	for kind, log := range map[string]string{".log": "bsd", ".iso.log": "iso"} {
		text, err := os.ReadFile(filepath.Join(s.root, "var/log", log))
		if err != nil {
			return err
		}
		if err := os.WriteFile(base+kind, text, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d lines, %d bytes\n", filepath.Base(base+kind), bytes.Count(text, []byte("\n")), len(text))
	}
	fmt.Printf("%s in %v\n", truths.summary(), lasted.Round(time.Second))
	return errors.Join(
		os.WriteFile(base+".truth", []byte(truths.failures()), 0o644),
		os.WriteFile(base+".over", []byte(truths.over()), 0o644))
}

// command returns a command that runs in the server's root.
func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.root}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LC_ALL=C"}
	cmd.WaitDelay = time.Second // smtpd's children inherit its output
	return cmd
}

// start starts rsyslogd and smtpd, and returns when both are ready.
func (s *server) start() error {
	certify := s.command("/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes", "-days", "3", "-subj", "/CN=mail.example.test", "-keyout", "/etc/key.pem", "-out", "/etc/ssl/certs/ca-certificates.crt")
	if out, err := certify.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %v: %s", certify, err, out)
	}
	// What smtpctl encrypt makes takes long to check, and smtpd waits for it.
	hash, err := s.command("/usr/bin/openssl", "passwd", "-6", password).Output()
	if err != nil {
		return fmt.Errorf("openssl passwd: %v", err)
	}
	var creds string
	for _, user := range users {
		creds += user + " " + string(hash)
	}
	for name, text := range map[string]string{
		"creds": creds, "smtpd.conf": smtpdConf, "rsyslog.conf": rsyslog, "hosts": hosts(),
	} {
		// smtpd insists that nobody else can write its configuration.
		if err := os.WriteFile(filepath.Join(s.root, "etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}

	s.syslog = s.command("/usr/sbin/rsyslogd", "-n", "-i", "NONE")
	s.smtpd = s.command("/usr/sbin/smtpd", "-F")
	var out bytes.Buffer
	s.smtpd.Stdout, s.smtpd.Stderr = &out, &out
	if err := s.syslog.Start(); err != nil {
		return err
	}
	if err := wait(func() error { return s.log("test: begin") }); err != nil {
		return fmt.Errorf("rsyslogd: %v", err)
	}
	if err := s.smtpd.Start(); err != nil {
		return err
	}
	err = wait(func() error {
		c, err := net.Dial("tcp", netip.AddrPortFrom(server6, 465).String())
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(s.root, "var/log/bsd"))
		return fmt.Errorf("smtpd: %v: %s%s", err, &out, log)
	}
	return nil
}

// stop ends smtpd and then rsyslogd, when everything is in the log.
func (s *server) stop() error {
	if err := s.smtpd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("smtpd: %v", err)
	}
	if err := s.smtpd.Wait(); err != nil {
		return fmt.Errorf("smtpd: %v", err)
	}
	// What syslog(3) has sent is read in order.
	const last = "test: end"
	if err := s.log(last); err != nil {
		return err
	}
	err := wait(func() error {
		for _, log := range []string{"bsd", "iso"} {
			text, err := os.ReadFile(filepath.Join(s.root, "var/log", log))
			if err != nil {
				return err
			}
			if !bytes.HasSuffix(text, []byte(last+"\n")) {
				return fmt.Errorf("%s does not end with %q", log, last)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rsyslogd: %v", err)
	}
	return s.syslog.Process.Signal(syscall.SIGTERM)
}

// log writes a line to the server's log.
func (s *server) log(text string) error {
	c, err := net.Dial("unixgram", filepath.Join(s.root, "dev/log"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "<22>%s %s", time.Now().Format(time.Stamp), text)
	return err
}

// wait tries until there is no error, for ten seconds at most.
func wait(try func() error) error {
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			break
		}
	}
	return err
}
