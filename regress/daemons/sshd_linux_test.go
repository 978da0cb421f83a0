package daemons_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sshd has instances on several ports, since what it logs depends on how it is
// configured. All log to the same place.
var sshd = daemon{name: "sshd", addrs: sshdAddrs, start: sshdStart, attack: sshdAttack, stop: sshdStop}

const (
	sshPAM       = 22   // Debian's configuration, almost
	sshVerbose   = 2222 // LogLevel VERBOSE, UseDNS yes
	sshNoPAM     = 2223
	sshPenalties = 2224 // of OpenSSH 9.8 and later; elsewhere it does not run
	sshImpatient = 2225 // LoginGraceTime 5
	sshCrowded   = 2226 // MaxStartups 2
)

// sshdConfig is what the instances share, and sshdConfigs what they do not.
// Penalties would keep out clients that are not done yet.
const sshdConfig = `ListenAddress 192.0.2.1
ListenAddress 2001:db8:ffff::1
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication yes
PermitRootLogin prohibit-password
DenyUsers denied
MaxAuthTries 6
`

var sshdConfigs = map[int]string{
	sshPAM: "UsePAM yes\nKbdInteractiveAuthentication yes\nMaxStartups 500\nPerSourcePenalties no\n" +
		"Match User twice\nAuthenticationMethods password,keyboard-interactive\n",
	sshVerbose:   "UsePAM yes\nKbdInteractiveAuthentication yes\nMaxStartups 500\nPerSourcePenalties no\nLogLevel VERBOSE\nUseDNS yes\n",
	sshNoPAM:     "UsePAM no\nKbdInteractiveAuthentication no\nMaxStartups 500\nPerSourcePenalties no\n",
	sshPenalties: "UsePAM yes\nPerSourcePenalties authfail:120s noauth:120s min:1s\n",
	sshImpatient: "UsePAM yes\nLoginGraceTime 5\nPerSourcePenalties no\n",
	sshCrowded:   "UsePAM yes\nMaxStartups 2\nPerSourcePenalties no\n",
}

// sshdRunning are the instances that sshdStart has started.
var sshdRunning []*exec.Cmd

func sshdStart(m *machine) error {
	if err := m.exec("/usr/bin/ssh-keygen", "-A"); err != nil {
		return err
	}
	if err := m.exec("/usr/bin/mkdir", "-p", "/run/sshd"); err != nil {
		return err
	}
	hash, err := m.command("/usr/bin/openssl", "passwd", "-6", password).Output()
	if err != nil {
		return fmt.Errorf("openssl passwd: %v", err)
	}
	if err := m.exec("/usr/sbin/usermod", "-p", strings.TrimSpace(string(hash)), "root"); err != nil {
		return err
	}
	for _, user := range []string{"twice", "denied", "shellless", "expired"} {
		if err := m.user(user); err != nil {
			return err
		}
	}
	if err := m.exec("/usr/sbin/usermod", "-s", "/nonexistent", "shellless"); err != nil {
		return err
	}
	if err := m.exec("/usr/bin/chage", "-E", "1", "expired"); err != nil {
		return err
	}
	var hosts strings.Builder
	for i, c := range sshClients() {
		name := sshNames[i%len(sshNames)]
		if _, err := netip.ParseAddr(name); err != nil {
			name += fmt.Sprintf(".c%d.example.test", i)
		}
		fmt.Fprintf(&hosts, "%v %s\n", c.addr, name)
	}
	if err := m.hosts(hosts.String()); err != nil {
		return err
	}
	if err := errors.Join(m.write("/etc/ssh/askpass", "#!/bin/sh\necho wrong\n"), os.Chmod(m.root+"/etc/ssh/askpass", 0o755)); err != nil {
		return err
	}
	penalties := sshdPenalises(m)
	for port, config := range sshdConfigs {
		if port == sshPenalties && !penalties {
			continue
		}
		if !penalties {
			config = strings.ReplaceAll(config, "PerSourcePenalties no\n", "")
		}
		if err := sshdListen(m, port, fmt.Sprintf("Port %d\n%s%s", port, sshdConfig, config)); err != nil {
			return fmt.Errorf("port %d: %v", port, err)
		}
	}
	return nil
}

// sshdPenalises says whether this sshd has PerSourcePenalties.
func sshdPenalises(m *machine) bool {
	out, _ := m.command("/usr/sbin/sshd", "-T").Output()
	return bytes.Contains(bytes.ToLower(out), []byte("persourcepenalties"))
}

// sshdListen starts an instance, and returns when it listens.
func sshdListen(m *machine, port int, config string) error {
	file := fmt.Sprintf("/etc/ssh/sshd_config.%d", port)
	if err := m.write(file, config); err != nil {
		return err
	}
	cmd := m.command("/usr/sbin/sshd", "-D", "-f", file, "-o", fmt.Sprintf("PidFile=/run/sshd.%d", port))
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		return err
	}
	sshdRunning = append(sshdRunning, cmd)
	// Not by a connection, which would be in the log: by what it says there.
	err := wait(func() error {
		if n := strings.Count(m.log(), fmt.Sprintf("Server listening on 2001:db8:ffff::1 port %d.", port)); n == 0 {
			return errors.New("does not listen")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%v: %s", err, &out)
	}
	return nil
}

func sshdStop(m *machine) error {
	var errs []error
	for _, cmd := range sshdRunning {
		errs = append(errs, cmd.Process.Signal(syscall.SIGTERM))
		cmd.Wait() // it is killed by that signal, or not, as the version has it
	}
	return errors.Join(errs...)
}

// sshClient is somebody at one address, who does one thing after the other.
type sshClient struct {
	addr  netip.Addr
	what  string // for errors
	do    func(*sshClient)
	m     *machine
	sums  map[string]int
	wrong []string // what was not as expected
}

// did notes n of a class.
func (c *sshClient) did(class string, n int) { c.sums[class] += n }

func (c *sshClient) errorf(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf("%v %s: ", c.addr, c.what)+fmt.Sprintf(format, args...))
}

// server is the address of an instance, of the client's family.
func (c *sshClient) server(port int) netip.AddrPort {
	if c.addr.Is6() {
		return netip.AddrPortFrom(server6, uint16(port))
	}
	return netip.AddrPortFrom(server4, uint16(port))
}

// open connects as far as the question who it is.
func (c *sshClient) open(port int) *sshConn {
	s, err := sshOpen(c.addr, c.server(port), sshVersion)
	if err != nil {
		c.errorf("port %d: %v", port, err)
		panic(c) // nothing that follows makes sense
	}
	return s
}

// dial connects and sends text, which need not be a version.
func (c *sshClient) dial(port int, text string) *sshConn {
	s, err := sshDial(c.addr, c.server(port), "")
	if err == nil && text != "" {
		_, err = io.WriteString(s, text)
	}
	if err != nil {
		c.errorf("port %d: %v", port, err)
		panic(c)
	}
	return s
}

// drain reads until the server hangs up.
func (s *sshConn) drain() {
	io.Copy(io.Discard, s.r)
	s.Close()
}

// refused sends wrong credentials n times, and counts the refusals. The last
// one that a connection may have is answered with a disconnect.
func (c *sshClient) refused(n int, try func() (byte, error)) {
	for range n {
		answer, err := try()
		switch {
		case err == nil && answer == sshAuthFailure,
			errors.Is(err, errHungUp) && strings.Contains(err.Error(), "Too many authentication failures"):
			c.did("auth", 1)
		default:
			c.errorf("answer %d, %v, want a refusal", answer, err)
		}
	}
}

// want reports an answer that is not the one expected.
func (c *sshClient) want(want, got byte, err error) {
	if got != want || err != nil {
		c.errorf("answer %d, %v, want %d", got, err, want)
	}
}

// none is what a client begins with, to be told what it may try.
func (s *sshConn) none(user string) (byte, error) {
	if err := s.request(user, "none"); err != nil {
		return 0, err
	}
	return s.answer()
}

// The ways to leave.
var sshGoodbyes = []func(*sshConn){
	func(s *sshConn) { s.disconnect("bye") },
	func(s *sshConn) { s.Close() },
	func(s *sshConn) { // with a RST
		s.Conn.(*net.TCPConn).SetLinger(0)
		s.Close()
	},
}

func sshdAddrs() []netip.Addr {
	var list []netip.Addr
	for _, c := range sshClients() {
		list = append(list, c.addr)
	}
	return list
}

// sshdAttack lets all clients do what they do.
func sshdAttack(m *machine) ([]outcome, error) {
	clients := sshClients()
	penalties := sshdPenalises(m)
	// As many at once as the machine can serve within LoginGraceTime.
	places := make(chan bool, 64)
	var wg sync.WaitGroup
	for _, c := range clients {
		if strings.HasPrefix(c.what, "penalised") && !penalties {
			continue
		}
		wg.Go(func() {
			places <- true
			defer func() {
				if r := recover(); r != nil && r != c {
					panic(r)
				}
				<-places
			}()
			c.m, c.sums = m, map[string]int{}
			c.do(c)
		})
	}
	wg.Wait()
	var outcomes []outcome
	var errs []error
	for _, c := range clients {
		for class, n := range c.sums {
			outcomes = append(outcomes, outcome{c.addr, class, n})
		}
		for _, wrong := range c.wrong {
			errs = append(errs, errors.New(wrong))
		}
	}
	// An sshd that is still busy with a connection has not said all of it.
	err := wait(func() error {
		out, _ := exec.Command("ss", "-Htn", "state", "established", "state", "close-wait", "state", "fin-wait-1",
			"( sport = :22 or sport = :2222 or sport = :2223 or sport = :2224 or sport = :2225 or sport = :2226 )").Output()
		if n := bytes.Count(out, []byte("\n")); n > 0 {
			return fmt.Errorf("%d connections are left", n)
		}
		return nil
	})
	time.Sleep(time.Second)
	return outcomes, errors.Join(append(errs, err)...)
}

// sshClients returns all clients, each with an address of its own.
func sshClients() []*sshClient {
	var list []*sshClient
	add := func(what string, do func(*sshClient)) {
		c := &sshClient{what: what, do: do}
		n := len(list)
		switch {
		case n%3 == 2:
			c.addr = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x22, byte(n >> 8), byte(n), 15: 1})
		case n%3 == 1 || n > 3*250:
			c.addr = netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n)})
		default:
			c.addr = netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + n/3)})
		}
		list = append(list, c)
	}
	addSSHHonest(add)
	addSSHGuessers(add)
	addSSHUnfinished(add)
	addSSHStrangers(add)
	addSSHHostile(add)
	addSSHShutOut(add)
	return list
}

// sshInstances are those for most of the clients.
var sshInstances = []int{sshPAM, sshVerbose, sshNoPAM}

// sshTries are the ways to send a password, of an instance.
func sshTries(port int) []func(s *sshConn, user, password string) (byte, error) {
	if port == sshNoPAM {
		return []func(*sshConn, string, string) (byte, error){(*sshConn).password}
	}
	return []func(*sshConn, string, string) (byte, error){(*sshConn).password, (*sshConn).interactive}
}

// sshLogged says whether an instance logs each refusal of a user. At INFO,
// OpenSSH does not tell of the first three of a user who exists, unless it was
// by password.
func sshLogged(port, way int, user string) bool {
	return port != sshPAM || way == 0 || !slices.Contains([]string{"alice", "bob", "root"}, user)
}

// addSSHHonest adds clients that log in, in the end.
func addSSHHonest(add func(string, func(*sshClient))) {
	for _, port := range sshInstances {
		for way, try := range sshTries(port) {
			for i, leave := range sshGoodbyes {
				if !sshLogged(port, way, "bob") {
					continue
				}
				add("logs in", func(c *sshClient) {
					s := c.open(port)
					s.none("alice")
					answer, err := try(s, "alice", password)
					c.want(sshAuthSuccess, answer, err)
					time.Sleep(200 * time.Millisecond)
					leave(s)
				})
				add("logs in after failures", func(c *sshClient) {
					s := c.open(port)
					s.none("bob")
					c.refused(i+1, func() (byte, error) { return try(s, "bob", "wrong") })
					answer, err := try(s, "bob", password)
					c.want(sshAuthSuccess, answer, err)
					time.Sleep(200 * time.Millisecond)
					leave(s)
				})
			}
		}
		if port == sshVerbose {
			// There, a key that is offered and one that signs look the same:
			// "Failed publickey". Here neither is told of.
			continue
		}
		add("offers keys, then logs in", func(c *sshClient) {
			s := c.open(port)
			s.none("carol")
			for range 3 {
				answer, err := s.publicKey("carol", false)
				c.want(sshAuthFailure, answer, err)
			}
			answer, err := s.password("carol", password)
			c.want(sshAuthSuccess, answer, err)
			s.disconnect("bye")
		})
		add("offers keys, then fails, then logs in", func(c *sshClient) {
			s := c.open(port)
			s.none("carol")
			for range 3 {
				answer, err := s.publicKey("carol", false)
				c.want(sshAuthFailure, answer, err)
			}
			c.refused(2, func() (byte, error) { return s.password("carol", "wrong") })
			answer, err := s.password("carol", password)
			c.want(sshAuthSuccess, answer, err)
			s.disconnect("bye")
		})
	}
	add("needs two ways", func(c *sshClient) {
		s := c.open(sshPAM)
		answer, err := s.password("twice", password) // the half of it, so no success
		c.want(sshAuthFailure, answer, err)
		answer, err = s.interactive("twice", password)
		c.want(sshAuthSuccess, answer, err)
		s.disconnect("bye")
	})
	add("needs two ways, has one", func(c *sshClient) {
		s := c.open(sshPAM)
		answer, err := s.password("twice", password)
		c.want(sshAuthFailure, answer, err)
		c.refused(1, func() (byte, error) { return s.interactive("twice", "wrong") })
		s.disconnect("bye")
	})
}

// addSSHGuessers adds clients whose passwords are refused.
func addSSHGuessers(add func(string, func(*sshClient))) {
	for _, port := range sshInstances {
		for way, try := range sshTries(port) {
			for _, user := range []string{"alice", "nobody2", "root", "denied", "shellless"} {
				if !sshLogged(port, way, user) {
					continue
				}
				for i, n := range []int{1, 2, 6} {
					add("guesses", func(c *sshClient) {
						s := c.open(port)
						if i != 1 {
							s.none(user)
						}
						c.refused(n, func() (byte, error) { return try(s, user, "wrong") })
						if n == 6 { // MaxAuthTries
							s.drain()
							return
						}
						sshGoodbyes[(i+way)%len(sshGoodbyes)](s)
					})
				}
			}
			for _, user := range []string{"root", "denied", "shellless"} {
				if !sshLogged(port, way, user) {
					continue
				}
				add("knows the password, but must not", func(c *sshClient) {
					s := c.open(port)
					c.refused(2, func() (byte, error) { return try(s, user, password) })
					s.Close()
				})
			}
			add("comes back", func(c *sshClient) {
				for i := range 7 {
					s := c.open(port)
					user := []string{"operator", "admin", "oracle"}[i%3]
					s.none(user)
					c.refused(1+i%4, func() (byte, error) { return try(s, user, "wrong") })
					sshGoodbyes[i%len(sshGoodbyes)](s)
				}
			})
		}
		for _, user := range []string{"alice", "nobody2"} {
			// At INFO the first one of a user that exists is not logged, as it
			// is taken for the method none.
			if user != "alice" || port == sshVerbose {
				add("empty passwords", func(c *sshClient) {
					s := c.open(port)
					s.none(user)
					c.refused(3, func() (byte, error) { return s.password(user, "") })
					s.Close()
				})
			}
			add("does not wait for answers", func(c *sshClient) {
				s := c.open(port)
				for range 3 {
					s.request(user, "password", []byte{0}, sshString("wrong"))
				}
				c.refused(3, s.answer)
				s.Close()
			})
			if port != sshNoPAM && sshLogged(port, 1, user) {
				add("both ways", func(c *sshClient) {
					s := c.open(port)
					s.none(user)
					for range 3 {
						c.refused(1, func() (byte, error) { return s.interactive(user, "wrong") })
						c.refused(1, func() (byte, error) { return s.password(user, "wrong") })
					}
					s.drain()
				})
			}
		}
	}
	add("signs with a wrong key", func(c *sshClient) {
		s := c.open(sshVerbose)
		c.refused(2, func() (byte, error) { return s.publicKey("alice", true) })
		s.Close()
	})
	// The name of a certificate is in the log, and is its owner's choice.
	for _, name := range sshHostile() {
		add("signs with a certificate", func(c *sshClient) {
			s := c.open(sshVerbose)
			c.refused(2, func() (byte, error) { return s.certificate("alice", name) })
			s.Close()
		})
	}
	for _, method := range []string{"password", "keyboard-interactive"} {
		for _, user := range []string{"alice", "nobody2"} {
			add("OpenSSH's client", func(c *sshClient) { c.openSSH(sshVerbose, user, method, 3) })
		}
	}
}

// openSSH lets the client of OpenSSH try a password n times.
func (c *sshClient) openSSH(port int, user, method string, n int) {
	cmd := c.m.command("/usr/bin/ssh", "-F", "/dev/null", "-b", c.addr.String(), "-l", user, "-p", fmt.Sprint(port),
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PreferredAuthentications="+method,
		"-o", fmt.Sprintf("NumberOfPasswordPrompts=%d", n), c.server(port).Addr().String())
	cmd.Env = append(cmd.Env, "SSH_ASKPASS=/etc/ssh/askpass", "SSH_ASKPASS_REQUIRE=force", "HOME=/root")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(": Permission denied (")) {
		c.errorf("ssh: %v: %s", err, out)
		return
	}
	c.did("auth", n)
}

// addSSHUnfinished adds clients that begin an authentication, and do not come
// to the end of it. sshd does not log how far they came. That they named a user
// and were not let in is one failure, unless the session had one anyway.
func addSSHUnfinished(add func(string, func(*sshClient))) {
	for _, port := range sshInstances {
		for _, user := range []string{"alice", "nobody2", "denied"} {
			for _, leave := range sshGoodbyes {
				add("asks what it may try", func(c *sshClient) {
					s := c.open(port)
					answer, err := s.none(user)
					c.want(sshAuthFailure, answer, err)
					leave(s)
					c.did("auth", 1)
				})
				if port != sshNoPAM {
					add("leaves at the question", func(c *sshClient) {
						s := c.open(port)
						c.asked(s, user)
						leave(s)
						c.did("auth", 1)
					})
				}
			}
			add("knows no method", func(c *sshClient) {
				s := c.open(port)
				for range 3 {
					s.request(user, "x from 192.0.2.66 port 22 ssh2")
					answer, err := s.answer()
					c.want(sshAuthFailure, answer, err)
				}
				s.Close()
				c.did("auth", 1)
			})
			add("knows no method, too often", func(c *sshClient) {
				s := c.open(port)
				for range 6 {
					s.request(user, "hostbased")
					s.answer()
				}
				s.drain()
				c.did("auth", 1)
			})
			if port != sshVerbose || user != "alice" {
				add("offers a key", func(c *sshClient) {
					s := c.open(port)
					s.none(user)
					answer, err := s.publicKey(user, false)
					c.want(sshAuthFailure, answer, err)
					s.Close()
					c.did("auth", 1)
				})
				add("offers keys", func(c *sshClient) {
					s := c.open(port)
					for range 6 {
						s.publicKey(user, false)
					}
					s.drain()
					c.did("auth", 1)
				})
			}
			add("changes its name", func(c *sshClient) {
				s := c.open(port)
				c.refused(1, func() (byte, error) { return s.password(user, "wrong") })
				if _, err := s.password("bob", "wrong"); !errors.Is(err, errHungUp) {
					c.errorf("changed its name: %v", err)
				}
				s.Close()
			})
			if user == "denied" {
				continue // is not told of
			}
			add("changes its name at once", func(c *sshClient) {
				s := c.open(port)
				s.none(user)
				s.password("x 192.0.2.66 port 22: Too many authentication failures", "wrong")
				s.Close()
				c.did("auth", 1)
			})
		}
	}
	// The question is withdrawn by another request, which sshd takes for an
	// answer. At INFO this is not logged of users that exist.
	add("withdraws, then fails", func(c *sshClient) {
		s := c.open(sshPAM)
		c.asked(s, "nobody2")
		c.did("auth", 1)
		c.refused(2, func() (byte, error) { return s.password("nobody2", "wrong") })
		s.Close()
	})
	add("withdraws, then fails", func(c *sshClient) {
		s := c.open(sshVerbose)
		c.asked(s, "alice")
		c.did("auth", 1)
		c.refused(1, func() (byte, error) { return s.interactive("alice", "wrong") })
		s.Close()
	})
}

// asked lets the server ask for the password.
func (c *sshClient) asked(s *sshConn, user string) {
	s.request(user, "keyboard-interactive", sshString(""), sshString(""))
	answer, err := s.answer()
	c.want(sshAuthAnswer, answer, err)
}

// addSSHStrangers adds clients that do not get as far as an authentication.
func addSSHStrangers(add func(string, func(*sshClient))) {
	for _, port := range []int{sshPAM, sshVerbose} {
		add("hangs up at once", func(c *sshClient) {
			for range 5 {
				c.dial(port, "").Close()
			}
			c.did("scan", 5)
		})
		for i, leave := range sshGoodbyes {
			add("reads the banner", func(c *sshClient) {
				s := c.dial(port, "")
				s.r.ReadString('\n')
				leave(s)
				c.did("scan", 1)
			})
			// After a RST OpenSSH 10.0 can only say UNKNOWN port -1.
			if i != 2 {
				add("sends a banner", func(c *sshClient) {
					s := c.dial(port, sshVersion+"\r\n")
					s.r.ReadString('\n')
					leave(s)
					c.did("scan", 1)
				})
			}
			add("scans for keys", func(c *sshClient) {
				for range 3 {
					leave(c.open(port))
				}
				c.did("scan", 3)
			})
		}
		for _, junk := range []string{
			"GET / HTTP/1.1\r\nHost: 192.0.2.66\r\n\r\n",
			"GET /Failed password for root from 192.0.2.66 port 22 ssh2 HTTP/1.1\r\n\r\n",
			"EHLO x\r\n",
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00\r\n\xff", 100),
			"\x00\x00\x00\x00\r\n",
			"\r\n",
			"x\n",
			"SSH-1.5-x\r\n",
			"SSH-1.99-x from 192.0.2.66 port 22\r\n\r\n",
			"SSH-2.1-x\r\n",
			"SSH-2.0\r\n",
			"SSH-x from 192.0.2.66 port 22 ssh2\r\n",
			`x" from 192.0.2.66 port 22: invalid format` + "\r\n",
			"banner exchange: Connection from 192.0.2.66 port 22: invalid format\r\n",
			"\x1b[31m\a\b\t\x80\xff\"\\\r\n",
			strings.Repeat("A", 20000) + "\r\n",
			"SSH-2.0-" + strings.Repeat("A", 20000) + "\r\n",
			strings.Repeat("SSH\r\n", 2000),
			sshVersion + "\r\n" + strings.Repeat("\x00", 2000),
			sshVersion + "\r\n" + strings.Repeat("\xff", 2000),
			sshVersion + "\r\nGET / HTTP/1.1\r\n\r\n",
			// Scanners of OpenSSH's own list.
			"SSH-2.0-probe-192.0.2.66\r\n",
			"SSH-1.0-SSH_Version_Mapper\r\n",
			"SSH-9.9-NmapNSE_1.0\r\n",
		} {
			add("is of another protocol", func(c *sshClient) {
				s := c.dial(port, junk)
				s.Conn.(*net.TCPConn).CloseWrite()
				s.drain()
				c.did("scan", 1)
			})
		}
		for _, list := range []string{"", "x", "x from 192.0.2.66 port 22 ssh2", "a\nFailed password for root from 192.0.2.66 port 22 ssh2",
			"x [preauth]", strings.Repeat("A", 5000)} {
			add("has no algorithm in common", func(c *sshClient) {
				s := c.dial(port, sshVersion+"\r\n")
				s.r.ReadString('\n')
				kex := append([]byte{sshKexInit}, make([]byte, 16)...)
				for range 10 {
					kex = append(kex, sshString(list)...)
				}
				s.send(append(kex, 0, 0, 0, 0, 0))
				s.drain()
				c.did("scan", 1)
			})
		}
		for _, message := range [][]byte{{sshAuthSuccess}, {sshAuthRequest}, {99}, {sshServiceRequest, 0, 0, 0, 9}} {
			add("speaks out of turn", func(c *sshClient) {
				s := c.open(port)
				s.send(message)
				s.Conn.(*net.TCPConn).CloseWrite()
				s.drain()
				c.did("scan", 1)
			})
		}
	}
}

// addSSHHostile adds clients that choose their words to deceive whoever reads
// the log.
func addSSHHostile(add func(string, func(*sshClient))) {
	for _, name := range sshHostile() {
		for _, port := range sshInstances {
			for _, try := range sshTries(port) {
				add("hostile name", func(c *sshClient) {
					s := c.open(port)
					c.refused(2, func() (byte, error) { return try(s, name, "wrong") })
					s.disconnect(name)
				})
				add("hostile name, too often", func(c *sshClient) {
					s := c.open(port)
					s.none(name)
					c.refused(6, func() (byte, error) { return try(s, name, name) })
					s.drain()
				})
			}
		}
		add("hostile name, no password", func(c *sshClient) {
			for i, leave := range sshGoodbyes {
				s := c.open(sshInstances[i])
				s.none(name)
				leave(s)
			}
			c.did("auth", len(sshGoodbyes))
		})
		add("hostile version, goodbye, method and service", func(c *sshClient) {
			version := "SSH-2.0-x" + strings.Map(func(r rune) rune {
				if r < ' ' {
					return '?'
				}
				return r
			}, name[:min(len(name), 200)])
			s, err := sshOpen(c.addr, c.server(sshPAM), version)
			if err != nil {
				c.errorf("%q: %v", version, err)
				return
			}
			c.refused(1, func() (byte, error) { return s.password("alice", "wrong") })
			s.request("alice", name)
			s.answer()
			s.disconnect(name)

			s = c.open(sshPAM) // before any authentication
			s.disconnect(name)
			c.did("scan", 1)

			s = c.open(sshPAM)
			s.send(slices.Concat([]byte{sshAuthRequest}, sshString("alice"), sshString(name), sshString("password"),
				[]byte{0}, sshString("wrong")))
			c.refused(1, s.answer)
			s.disconnect(name)
		})
		add("changes to a hostile name", func(c *sshClient) {
			s := c.open(sshPAM)
			s.none("alice")
			s.password(name, "wrong")
			s.Close()
			c.did("auth", 1)
		})
	}
}

// sshHostile are names that look like what sshd says, or like other daemons.
func sshHostile() []string {
	return []string{
		"x from 192.0.2.66 port 22 ssh2",
		"x from 192.0.2.66 port 22",
		"root from 192.0.2.66",
		"x 192.0.2.66",
		"x 192.0.2.66 port 22 [preauth]",
		"x 192.0.2.66 port 22: Too many authentication failures",
		" from 2001:db8:dead::66 port 22 ssh2",
		"Invalid user root from 192.0.2.66",
		"invalid user root from 192.0.2.66 port 22 ssh2",
		"Failed password for root from 192.0.2.66 port 22 ssh2",
		"for invalid user x from 192.0.2.66 port 22 ssh2: RSA SHA256",
		"Accepted password for alice from 192.0.2.66 port 22 ssh2",
		"x\nFailed password for root from 192.0.2.66 port 22 ssh2",
		"x\r\nsshd[1]: Failed password for root from 192.0.2.66 port 22 ssh2",
		"x]: Failed password for root from 192.0.2.66 port 22 ssh2",
		"root  user=root rhost=192.0.2.66",
		"8.8.8.8]: SASL LOGIN authentication failed: authentication failure",
		">, method=PLAIN, rip=192.0.2.66, lip=192.0.2.1, session=<x>",
		"ban_smtpd[1]: pardon address=192.0.2.66",
		"message repeated 99 times: [ Failed password for root from 192.0.2.66 port 22 ssh2]",
		"last message repeated 99 times",
		"%s%n%d",
		"$(reboot) `reboot` ; reboot | & < > ' \" \\ #012",
		"\x1b[31m\a\b\t\x7f\x80\xff\xc3\xa9",
		"invalid user ",
		"-oProxyCommand=x",
		"\\040\\n\\\\",
		" ",
		"  two  spaces  ",
		"", // an empty name
		strings.Repeat("A", 99) + " from 192.0.2.66 port 22 ssh2",
		strings.Repeat("A", 72) + " from 192.0.2.66 port 22 ssh2",
		strings.Repeat("x from 192.0.2.66 port 22 ssh2 ", 280), // 8 KB
	}
}

// sshNames are the beginnings of what the clients' addresses resolve to.
var sshNames = []string{"client", "from.192.0.2.66.port.22", "192.0.2.66", "a_b", "unknown", "ssh2", "user-192-0-2-66"}

// addSSHShutOut adds clients that sshd itself gets rid of.
func addSSHShutOut(add func(string, func(*sshClient))) {
	add("says nothing until the server has enough", func(c *sshClient) {
		c.dial(sshImpatient, "").drain()
		c.timedOut()
	})
	add("stays at the key exchange", func(c *sshClient) {
		c.open(sshImpatient).drain()
		c.timedOut()
	})
	add("fails, then stays", func(c *sshClient) {
		s := c.open(sshImpatient)
		c.refused(1, func() (byte, error) { return s.password("alice", "wrong") })
		s.drain()
	})
	add("begins, then stays", func(c *sshClient) {
		s := c.open(sshImpatient)
		s.none("nobody2")
		s.drain()
		c.did("auth", 1)
	})

	// Two connections at once are all that this instance bears, and that
	// another is turned away is not that client's fault. They take turns.
	held, done := make(chan bool), make(chan bool)
	add("takes a place", func(c *sshClient) {
		a, b := c.dial(sshCrowded, ""), c.dial(sshCrowded, "")
		a.r.ReadString('\n')
		b.r.ReadString('\n')
		held <- true
		<-done
		a.Close()
		b.Close()
		c.did("scan", 2)
	})
	add("finds no place", func(c *sshClient) {
		<-held
		for range 2 {
			s := c.dial(sshCrowded, "")
			if line, _ := s.r.ReadString('\n'); strings.HasPrefix(line, "SSH-") {
				c.errorf("got %q, want to be turned away", line)
			}
			s.Close()
		}
		done <- true
	})

	for _, user := range []string{"alice", "nobody2"} {
		add("penalised after failures", func(c *sshClient) {
			s := c.open(sshPenalties)
			c.refused(2, func() (byte, error) { return s.password(user, "wrong") })
			s.disconnect("bye")
			c.dropped(2, "auth")
		})
	}
	add("penalised after nothing", func(c *sshClient) {
		c.open(sshPenalties).Close()
		c.did("scan", 1)
		c.dropped(2, "scan")
	})
}

// timedOut notes that sshd had enough. The child of older ones says so where
// syslog_r(3) is, as on OpenBSD; in newer ones it is the parent that does.
func (c *sshClient) timedOut() {
	if sshdPenalises(c.m) {
		c.did("scan", 1)
	}
}

// dropped connects n times while sshd drops connections for what was done
// before. It does not get as far as the greeting.
func (c *sshClient) dropped(n int, class string) {
	time.Sleep(time.Second) // sshd has to learn of the end of the connection
	for range n {
		s := c.dial(sshPenalties, "")
		if line, _ := s.r.ReadString('\n'); strings.HasPrefix(line, "SSH-") {
			c.errorf("got %q, want to be dropped", line)
		}
		s.Close()
		c.did(class, 1)
	}
}

// The messages of RFC 4250 that the clients send or wait for.
const (
	sshDisconnect     = 1
	sshServiceRequest = 5
	sshKexInit        = 20
	sshNewKeys        = 21
	sshKexECDHInit    = 30
	sshAuthRequest    = 50
	sshAuthFailure    = 51
	sshAuthSuccess    = 52
	sshAuthAnswer     = 60 // PK_OK, INFO_REQUEST: depends on the method
	sshAuthResponse   = 61
)

const sshVersion = "SSH-2.0-Go"

// sshConn is the client's end of an SSH connection. It speaks one choice of
// algorithms and believes any host key: the OpenSSH client would not send what
// these clients have to send.
type sshConn struct {
	net.Conn
	r       *bufio.Reader
	id      []byte // of the session
	out, in cipher.AEAD
	outN    []byte // nonces
	inN     []byte
}

// sshDial connects, and goes as far as version strings.
func sshDial(from netip.Addr, to netip.AddrPort, version string) (*sshConn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(60 * time.Second))
	s := &sshConn{Conn: c, r: bufio.NewReader(c)}
	if version != "" {
		_, err = io.WriteString(c, version+"\r\n")
	}
	return s, err
}

// sshOpen connects, and goes as far as the server asks who it is.
func sshOpen(from netip.Addr, to netip.AddrPort, version string) (*sshConn, error) {
	s, err := sshDial(from, to, version)
	if err != nil {
		return nil, err
	}
	if err := s.handshake(version); err != nil {
		s.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return s, nil
}

// sshString is a string as RFC 4251 has it.
func sshString[T string | []byte](s T) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// handshake does a key exchange, and asks for ssh-userauth.
func (s *sshConn) handshake(version string) error {
	theirs, err := s.r.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(theirs, "SSH-2.0-") {
		return fmt.Errorf("version %q", theirs)
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	kex := append([]byte{sshKexInit}, make([]byte, 16)...)
	for _, list := range []string{"curve25519-sha256", "ssh-ed25519,rsa-sha2-512,ecdsa-sha2-nistp256",
		"aes128-gcm@openssh.com", "aes128-gcm@openssh.com", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""} {
		kex = append(kex, sshString(list)...)
	}
	kex = append(kex, 0, 0, 0, 0, 0)
	if err := s.send(kex); err != nil {
		return err
	}
	theirKex, err := s.receive(sshKexInit)
	if err != nil {
		return err
	}
	public := key.PublicKey().Bytes()
	if err := s.send(append([]byte{sshKexECDHInit}, sshString(public)...)); err != nil {
		return err
	}
	reply, err := s.receive(sshKexECDHInit + 1)
	if err != nil {
		return err
	}
	hostKey, rest := sshCut(reply[1:])
	theirPublic, _ := sshCut(rest)
	peer, err := ecdh.X25519().NewPublicKey(theirPublic)
	if err != nil {
		return err
	}
	shared, err := key.ECDH(peer)
	if err != nil {
		return err
	}
	shared = bytes.TrimLeft(shared, "\x00")
	if shared[0] >= 0x80 { // it is a positive number
		shared = append([]byte{0}, shared...)
	}
	shared = sshString(shared)

	h := sha256.New()
	for _, part := range [][]byte{[]byte(version), []byte(strings.TrimRight(theirs, "\r\n")),
		kex, theirKex, hostKey, public, theirPublic} {
		h.Write(sshString(part))
	}
	h.Write(shared)
	s.id = h.Sum(nil)
	derive := func(letter byte, n int) []byte {
		sum := sha256.Sum256(slices.Concat(shared, s.id, []byte{letter}, s.id))
		return sum[:n]
	}
	if err := s.send([]byte{sshNewKeys}); err != nil {
		return err
	}
	if _, err := s.receive(sshNewKeys); err != nil {
		return err
	}
	s.outN, s.inN = derive('A', 12), derive('B', 12)
	s.out, s.in = sshGCM(derive('C', 16)), sshGCM(derive('D', 16))
	if err := s.send(append([]byte{sshServiceRequest}, sshString("ssh-userauth")...)); err != nil {
		return err
	}
	_, err = s.receive(sshServiceRequest + 1)
	return err
}

func sshGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// sshCut returns the string at the beginning, and what follows.
func sshCut(b []byte) (str, rest []byte) {
	if len(b) < 4 {
		return nil, nil
	}
	n := min(int(binary.BigEndian.Uint32(b)), len(b)-4)
	return b[4 : 4+n], b[4+n:]
}

func (s *sshConn) send(payload []byte) error {
	block, length := 8, 4 // the length itself is padded too, until it is encrypted
	if s.out != nil {
		block, length = 16, 0
	}
	pad := block - (length+1+len(payload))%block
	if pad < 4 {
		pad += block
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+pad))
	packet = append(append(append(packet, byte(pad)), payload...), make([]byte, pad)...)
	if s.out != nil {
		packet = append(packet[:4:4], s.out.Seal(nil, s.outN, packet[4:], packet[:4])...)
		sshNext(s.outN)
	}
	_, err := s.Write(packet)
	return err
}

// sshNext increments the counter in a nonce.
func sshNext(nonce []byte) {
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])+1)
}

// errHungUp means that the server said so.
var errHungUp = errors.New("disconnected")

// receive returns the next message of one of these types.
func (s *sshConn) receive(types ...byte) ([]byte, error) {
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(s.r, head); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint32(head))
		if s.in != nil {
			n += s.in.Overhead()
		}
		if n < 2 || n > 1<<18 {
			return nil, fmt.Errorf("a packet of %d bytes", n)
		}
		packet := make([]byte, n)
		if _, err := io.ReadFull(s.r, packet); err != nil {
			return nil, err
		}
		if s.in != nil {
			var err error
			if packet, err = s.in.Open(nil, s.inN, packet, head); err != nil {
				return nil, err
			}
			sshNext(s.inN)
		}
		payload := packet[1 : len(packet)-int(packet[0])]
		switch {
		case slices.Contains(types, payload[0]):
			return payload, nil
		case payload[0] == sshDisconnect:
			text, _ := sshCut(payload[5:])
			return nil, fmt.Errorf("%w: %s", errHungUp, text)
		}
	}
}

// request sends a request to authenticate.
func (s *sshConn) request(user, method string, fields ...[]byte) error {
	return s.send(slices.Concat([]byte{sshAuthRequest}, sshString(user), sshString("ssh-connection"),
		sshString(method), slices.Concat(fields...)))
}

// answer is what the server says to a request.
func (s *sshConn) answer() (byte, error) {
	reply, err := s.receive(sshAuthFailure, sshAuthSuccess, sshAuthAnswer)
	if err != nil {
		return 0, err
	}
	return reply[0], nil
}

func (s *sshConn) password(user, password string) (byte, error) {
	if err := s.request(user, "password", []byte{0}, sshString(password)); err != nil {
		return 0, err
	}
	return s.answer()
}

// interactive answers one password to each question.
func (s *sshConn) interactive(user, password string) (byte, error) {
	if err := s.request(user, "keyboard-interactive", sshString(""), sshString("")); err != nil {
		return 0, err
	}
	for {
		reply, err := s.receive(sshAuthFailure, sshAuthSuccess, sshAuthAnswer)
		if err != nil || reply[0] != sshAuthAnswer {
			return append(reply, 0)[0], err
		}
		_, rest := sshCut(reply[1:])
		_, rest = sshCut(rest)
		_, rest = sshCut(rest)
		n := binary.BigEndian.Uint32(rest)
		r := binary.BigEndian.AppendUint32([]byte{sshAuthResponse}, n)
		for range n {
			r = append(r, sshString(password)...)
		}
		if err := s.send(r); err != nil {
			return 0, err
		}
	}
}

// publicKey offers a new key, and signs unless it is to ask only.
func (s *sshConn) publicKey(user string, sign bool) (byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return 0, err
	}
	blob := append(sshString("ssh-ed25519"), sshString([]byte(public))...)
	if !sign {
		if err := s.request(user, "publickey", []byte{0}, sshString("ssh-ed25519"), sshString(blob)); err != nil {
			return 0, err
		}
		return s.answer()
	}
	return s.signed(user, "ssh-ed25519", blob, private)
}

// certificate signs with a new key, for which a new authority has made out a
// certificate with that name.
func (s *sshConn) certificate(user, name string) (byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return 0, err
	}
	const algorithm = "ssh-ed25519-cert-v01@openssh.com"
	authority := append(sshString("ssh-ed25519"), sshString([]byte(public))...)
	always := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	blob := slices.Concat(sshString(algorithm), sshString("nonce"), sshString([]byte(public)), make([]byte, 8),
		[]byte{0, 0, 0, 1}, sshString(name), sshString(sshString(user)), make([]byte, 8), always,
		sshString(""), sshString(""), sshString(""), sshString(authority))
	sig := append(sshString("ssh-ed25519"), sshString(ed25519.Sign(private, blob))...)
	return s.signed(user, algorithm, append(blob, sshString(sig)...), private)
}

// signed authenticates with a key.
func (s *sshConn) signed(user, algorithm string, blob []byte, private ed25519.PrivateKey) (byte, error) {
	fields := slices.Concat([]byte{1}, sshString(algorithm), sshString(blob))
	data := slices.Concat(sshString(s.id), []byte{sshAuthRequest}, sshString(user), sshString("ssh-connection"),
		sshString("publickey"), fields)
	sig := append(sshString("ssh-ed25519"), sshString(ed25519.Sign(private, data))...)
	if err := s.request(user, "publickey", fields, sshString(sig)); err != nil {
		return 0, err
	}
	return s.answer()
}

func (s *sshConn) disconnect(text string) {
	s.send(slices.Concat([]byte{sshDisconnect, 0, 0, 0, 11}, sshString(text), sshString("")))
	s.Close()
}
