package daemons_test

import (
	"bufio"
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// smtpClient is somebody at one address, who does one thing after the other.
type smtpClient struct {
	addr    netip.Addr
	do      func(*smtpClient)
	when    int    // which of saslStates
	dovecot bool   // not without Dovecot
	name    string // in reverse DNS, if any
	did     map[string]int
	errs    []error
}

// What saslauthd is when a client comes.
const (
	saslUp = iota
	saslDown
	saslBack
	saslStates
)

// runSMTP lets the clients loose that come now.
func runSMTP(all []*smtpClient, now func(*smtpClient) bool) {
	const atOnce = 40
	slots := make(chan bool, atOnce)
	var wg sync.WaitGroup
	for _, c := range all {
		if !now(c) {
			continue
		}
		slots <- true
		wg.Go(func() {
			defer func() { <-slots }()
			c.do(c)
		})
	}
	wg.Wait()

}

func (c *smtpClient) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%v: %s", c.addr, fmt.Sprintf(format, args...)))
}

// smtpSession is one connection. Once it is closed, each reply is empty.
type smtpSession struct {
	*smtpClient
	conn net.Conn
	r    *bufio.Reader
	err  error // why there are no more replies
}

// dial connects from the client's address, and no more.
func (c *smtpClient) dial(port int) *smtpSession {
	server := server4
	if c.addr.Is6() {
		server = server6
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.addr, 0))}
	conn, err := d.Dial("tcp", netip.AddrPortFrom(server, uint16(port)).String())
	if err != nil {
		c.errs = append(c.errs, err)
		conn, _ = net.Pipe()
		conn.Close()
	}
	conn.SetDeadline(time.Now().Add(longest / 2))
	return &smtpSession{smtpClient: c, conn: conn, r: bufio.NewReader(conn)}
}

// open begins a session as an honest client does, with TLS or without.
func (c *smtpClient) open(port int, starttls bool) *smtpSession {
	s := c.dial(port)
	if port == 465 {
		s.encrypt()
	}
	s.want("220", s.reply(), "greeting")
	s.want("250", s.cmd("EHLO client.example.test"), "EHLO")
	if starttls {
		s.want("220", s.cmd("STARTTLS"), "STARTTLS")
		s.encrypt()
		s.want("250", s.cmd("EHLO client.example.test"), "EHLO")
	}
	return s
}

// somehow opens a session in one of the ways that allow AUTH by saslauthd.
func (c *smtpClient) somehow(i int) *smtpSession {
	switch i % 4 {
	case 0:
		return c.open(25, false)
	case 1:
		return c.open(25, true)
	case 2:
		return c.open(587, true)
	default:
		return c.open(465, false)
	}
}

func (s *smtpSession) encrypt() {
	s.conn = tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true})
	s.r.Reset(s.conn)
}

func (s *smtpSession) close() { s.conn.Close() }

func (s *smtpSession) quit() {
	s.cmd("QUIT")
	s.close()
}

// want complains if the server did not answer as expected.
func (s *smtpSession) want(want, got, what string) {
	if !strings.HasPrefix(got, want) {
		s.fail("%s: server answered %q, want %s (%v)", what, got, want, s.err)
	}
}

// cmd sends a line and returns the last line of the reply to it.
func (s *smtpSession) cmd(line string) string {
	io.WriteString(s.conn, line+"\r\n")
	return s.reply()
}

// reply returns the last line of the next reply, "" if there is none any more.
func (s *smtpSession) reply() string {
	for {
		line, err := s.r.ReadString('\n')
		if err != nil || len(line) < 4 {
			s.err = cmp.Or(s.err, err)
			return ""
		}
		if line[3] != '-' {
			return strings.TrimSpace(line)
		}
	}
}

// exchange sends the lines of an AUTH as long as the server asks for more.
func (s *smtpSession) exchange(lines ...string) string {
	reply := "334"
	for _, line := range lines {
		if strings.HasPrefix(reply, "334") {
			reply = s.cmd(line)
		}
	}
	return reply
}

// auth sends complete credentials, and remembers what the server makes of
// them: 535 is a refusal, 454 is the server's own trouble, and anything else
// says that it never looked.
func (s *smtpSession) auth(mech, user, pass string) string {
	var reply string
	switch mech {
	case "PLAIN":
		reply = s.exchange("AUTH PLAIN " + b64("\x00"+user+"\x00"+pass))
	case "plain": // without an initial response
		reply = s.exchange("AUTH PLAIN", b64("\x00"+user+"\x00"+pass))
	case "LOGIN":
		reply = s.exchange("AUTH LOGIN", b64(user), b64(pass))
	case "login": // with an initial response
		reply = s.exchange("AUTH LOGIN "+b64(user), b64(pass))
	case "CRAM-MD5":
		reply = s.cmd("AUTH CRAM-MD5")
		if challenge, ok := strings.CutPrefix(reply, "334 "); ok {
			text, _ := base64.StdEncoding.DecodeString(challenge)
			mac := hmac.New(md5.New, []byte(pass))
			mac.Write(text)
			reply = s.cmd(b64(fmt.Sprintf("%s %x", user, mac.Sum(nil))))
		}
	}
	s.judge(reply)
	return reply
}

func (s *smtpSession) judge(reply string) {
	switch {
	case strings.HasPrefix(reply, "535"):
		s.did["auth"]++
	case strings.HasPrefix(reply, "235"), strings.HasPrefix(reply, "454"):
	case reply == "":
		s.fail("AUTH was not answered: %v", s.err)
	default:
		s.did["abort"]++
	}
}

// abort sends the lines of an AUTH that cannot succeed, as no credentials are
// in it, or only half, or more than anybody looks at. An answer of 500 says
// that the server did not know it for an AUTH.
func (s *smtpSession) abort(lines ...string) {
	reply := s.exchange(lines...)
	switch {
	case reply == "" || strings.HasPrefix(reply, "235"):
		s.fail("%q: server answered %q (%v)", lines, reply, s.err)
	case !strings.HasPrefix(reply, "500 "):
		s.did["abort"]++
	}
}

// refused fails n times, in each way there is.
func (s *smtpSession) refused(n int, user string) {
	for i := range n {
		s.want("535", s.auth([]string{"PLAIN", "LOGIN", "plain", "login"}[i%4], user, "wrong"), "wrong password")
	}
}

// send sends mail, and so makes Postfix tell of the login before.
func (s *smtpSession) send() {
	s.want("250", s.cmd("MAIL FROM:<alice@example.test>"), "MAIL")
	s.want("250", s.cmd("RCPT TO:<bob@example.test>"), "RCPT")
	s.want("354", s.cmd("DATA"), "DATA")
	s.want("250", s.cmd("Subject: x\r\n\r\nx\r\n."), "text")
}

// rcpt names a recipient, who may be unknown.
func (s *smtpSession) rcpt(to string) string {
	reply := s.cmd("RCPT TO:<" + to + ">")
	if strings.HasPrefix(reply, "550 5.1.1 ") {
		s.did["harvest"]++
	}
	return reply
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
