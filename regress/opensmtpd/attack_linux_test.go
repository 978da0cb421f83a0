package opensmtpd_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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
)

func TestMain(m *testing.M) {
	root, dir := os.Getenv(insideRoot), os.Getenv(insideDir)
	if root == "" {
		os.Exit(m.Run())
	}
	merged, err := recorded.SetUp(root, dir, append(addresses(), server4, server6))
	if err != nil {
		fmt.Println("SKIPPED:", err)
		os.Exit(recorded.Skipped)
	}
	s := &server{root: merged, dir: dir}
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
	recorded.Need(t, suite, root, "/usr/sbin/smtpd", "opensmtpd,rsyslog,openssl")
	dir := t.TempDir()
	out, err := recorded.Inside(t, longest, insideRoot+"="+root, insideDir+"="+dir)
	if err != nil {
		t.Fatalf("attack: %v\n%s", err, out)
	}
	t.Log(out)

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
