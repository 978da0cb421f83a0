package daemons_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// smtpClients returns all clients. Every third has an IPv6 address, and every
// fifth a name.
func smtpClients() []*smtpClient {
	var all []*smtpClient
	add := func(do func(*smtpClient)) *smtpClient {
		n := len(all) + 1
		c := &smtpClient{do: do, did: map[string]int{}}
		c.addr = netip.AddrFrom4([4]byte{198, 18, byte(n / 200), byte(n%200 + 1)})
		if n%3 == 0 {
			c.addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:25:%x::1", n))
		}
		if n%5 == 0 {
			c.name = fmt.Sprintf("c%d.clients.example.test", n)
		}
		all = append(all, c)
		return c
	}
	addSMTPBots(add)
	addSMTPAborts(add)
	addSMTPHarvest(add)
	addSMTPScans(add)
	addSMTPOutage(add)
	addSMTPDovecot(add)
	addSMTPHostile(add)
	return all
}

// adder adds a client.
type adder func(do func(*smtpClient)) *smtpClient

// smtpHosts is the reverse DNS. Of names that are there twice the first address
// is the one that they resolve to.
func smtpHosts() string {
	var b strings.Builder
	for _, c := range smtpClients() {
		if liar, ok := strings.CutPrefix(c.name, "not:"); ok {
			fmt.Fprintln(&b, "192.0.2.66", liar)
			fmt.Fprintln(&b, "2001:db8:dead::66", liar)
			fmt.Fprintln(&b, c.addr, liar)
		} else if c.name != "" {
			fmt.Fprintln(&b, c.addr, c.name)
		}
	}
	return b.String()
}

// addSMTPBots adds the usual: wrong passwords, unknown users, honest users.
func addSMTPBots(add adder) {
	names := []string{"root", "admin", "alice", "info@example.test", "bob"}
	mechs := []string{"PLAIN", "LOGIN", "plain", "login", "CRAM-MD5"}
	for i := range 40 {
		add(func(c *smtpClient) {
			s := c.somehow(i)
			for j := range 1 + i%4 {
				s.want("535", s.auth(mechs[(i/4+j)%5], names[i%5], "wrong"), "wrong password")
			}
			if i%3 == 0 {
				s.close()
			} else {
				s.quit()
			}
		})
	}
	for i := range 20 { // honest, some after a slip
		add(func(c *smtpClient) {
			s := c.somehow(i)
			s.refused(i%3, "alice")
			s.want("235", s.auth(mechs[i%5], "alice", password), "right password")
			switch i % 4 {
			case 0:
				s.send()
				s.send()
			case 1, 2:
				s.send()
			}
			if i%5 == 0 { // a second AUTH is an error, whatever is in it
				s.auth("PLAIN", "root", "wrong")
			}
			if i%7 == 0 {
				s.close()
			} else {
				s.quit()
			}
		})
	}
	for i := range 4 { // several sessions, one after the other
		add(func(c *smtpClient) {
			for j := range 5 {
				s := c.somehow(i + j)
				s.refused(1+j%2, "root")
				s.quit()
			}
		})
		add(func(c *smtpClient) { // and at the same time
			s1, s2 := c.somehow(i), c.somehow(i+1)
			for range 3 {
				s1.refused(1, "root")
				s2.refused(1, "admin")
			}
			s2.close()
			s1.quit()
		})
	}
	add(func(c *smtpClient) { // success, then failures in another session
		s := c.open(465, false)
		s.want("235", s.auth("LOGIN", "bob", password), "right password")
		s.send()
		s.quit()
		s = c.open(587, true)
		s.refused(4, "bob")
		s.quit()
	})
	for _, port := range []int{25, 2526} { // until it is thrown out
		add(func(c *smtpClient) {
			s := c.open(port, false)
			for i := 0; s.err == nil && i < 50; i++ {
				reply := s.exchange("AUTH LOGIN", b64("root"), b64("wrong"))
				if strings.HasPrefix(reply, "535") {
					s.did["auth"]++
				}
			}
			if s.err == nil {
				s.fail("it can go on forever")
			}
			s.close()
		})
		add(func(c *smtpClient) { // not for its passwords
			s := c.open(port, false)
			s.refused(1, "root")
			for i := 0; s.err == nil && i < 50; i++ {
				s.cmd("VRFY")
			}
			s.close()
		})
	}
	for i := range 6 { // gone with the last word: it need not hear the bad news
		add(func(c *smtpClient) {
			s := c.somehow(i)
			last := "AUTH PLAIN " + b64("\x00root\x00wrong")
			if i%2 == 1 {
				s.want("334", s.cmd("AUTH LOGIN "+b64("root")), "user")
				last = b64("wrong")
			}
			io.WriteString(s.conn, last+"\r\n")
			s.close()
			s.did["auth"]++
		})
	}
	for i := range 4 { // all in one packet, as if it were allowed
		add(func(c *smtpClient) {
			s := c.somehow(i)
			s.judge(s.cmd("AUTH PLAIN " + b64("\x00root\x00wrong") + "\r\nAUTH PLAIN " + b64("\x00admin\x00wrong") + "\r\nQUIT"))
			s.judge(s.reply())
			s.close()
		})
	}
}

// addSMTPAborts adds clients whose AUTH never gets so far that a password is
// checked. Most fail properly as well.
func addSMTPAborts(add adder) {
	for _, lines := range [][]string{
		{"AUTH PLAIN", "*"},
		{"AUTH LOGIN", "*"},
		{"AUTH LOGIN", b64("root"), "*"},
		{"AUTH CRAM-MD5", "*"},
		{"AUTH PLAIN ====="},
		{"AUTH PLAIN not-base64!"},
		{"AUTH PLAIN not base64!"},
		{"AUTH PLAIN", "not base64!"},
		{"AUTH LOGIN", "not base64!"},
		{"AUTH LOGIN", b64("root"), "not base64!"},
		{"AUTH CRAM-MD5", "not base64!"},
		{"AUTH CRAM-MD5", b64("root")},
		{"AUTH CRAM-MD5 " + b64("root")},
		{"AUTH PLAIN " + b64("root")},
		{"AUTH PLAIN " + b64("\x00root")},
		{"AUTH PLAIN ="},
		{"AUTH PLAIN", ""},
		{"AUTH"},
		{"AUTH "},
		{"AUTH ="},
		{"AUTH NTLM"},
		{"AUTH NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAO5CAAAADw=="},
		{"AUTH XOAUTH2 " + b64("user=root\x01auth=Bearer x\x01\x01")},
		{"AUTH EXTERNAL ="},
		{"AUTH ANONYMOUS " + b64("x")},
		{"AUTH SCRAM-SHA-1 " + b64("n,,n=root,r=x")},
		{"AUTH LOGIN root wrong"},
		{"AUTH LOGIN " + b64("root") + " " + b64("wrong")},
	} {
		for i, after := range []bool{false, true} {
			add(func(c *smtpClient) {
				s := c.somehow(i + len(lines[0]))
				s.abort(lines...)
				if after {
					s.refused(2, "root")
					s.abort(lines...)
				}
				s.quit()
			})
		}
	}
	for i := range 8 { // gone in the middle
		add(func(c *smtpClient) {
			s := c.somehow(i)
			if i >= 6 {
				s.refused(2, "root")
			}
			switch i % 3 {
			case 0:
				s.want("334", s.cmd("AUTH PLAIN"), "AUTH PLAIN")
			case 1:
				s.want("334", s.cmd("AUTH LOGIN"), "AUTH LOGIN")
			case 2:
				s.want("334", s.cmd("AUTH LOGIN "+b64("root")), "user")
			}
			s.close()
			s.did["abort"]++
		})
	}
	for i := range 2 { // waits in the middle until it is thrown out
		add(func(c *smtpClient) {
			s := c.open(2526, false)
			s.refused(i, "root")
			s.want("334", s.cmd("AUTH LOGIN"), "AUTH LOGIN")
			s.did["abort"]++
			s.reply()
			s.close()
		})
	}
	for _, how := range []string{"PLAIN", "LOGIN"} {
		add(func(c *smtpClient) { // where AUTH needs TLS first
			s := c.open(587, false)
			s.auth(how, "root", "wrong")
			s.auth(how, "root", "wrong")
			s.quit()
		})
		add(func(c *smtpClient) { // before EHLO
			s := c.dial(25)
			s.want("220", s.reply(), "greeting")
			s.auth(how, "root", "wrong")
			s.quit()
		})
		add(func(c *smtpClient) { // after HELO
			s := c.dial(25)
			s.want("220", s.reply(), "greeting")
			s.cmd("HELO client.example.test")
			s.auth(how, "root", "wrong")
			s.quit()
		})
		add(func(c *smtpClient) { // in the middle of mail
			s := c.open(25, true)
			s.want("250", s.cmd("MAIL FROM:<x@example.test>"), "MAIL")
			s.auth(how, "root", "wrong")
			s.quit()
		})
	}
	add(func(c *smtpClient) { // too many of these
		s := c.open(2526, false)
		for i := 0; s.err == nil && i < 50; i++ {
			if reply := s.cmd("AUTH NTLM"); strings.HasPrefix(reply, "5") {
				s.did["abort"]++
			}
		}
		s.close()
	})
	add(func(c *smtpClient) { // hangs up after AUTH was refused
		s := c.open(25, false)
		s.abort("AUTH NTLM")
		s.close()
	})
}

// addSMTPHarvest adds clients that look for addresses.
func addSMTPHarvest(add adder) {
	domains := []string{"example.test", "alias.test", "mailbox.test", "relay.test"}
	for i := range 12 {
		add(func(c *smtpClient) {
			s := c.open([]int{25, 465, 2526}[i%3], false)
			s.want("250", s.cmd("MAIL FROM:<x@elsewhere.test>"), "MAIL")
			for j := range 1 + i%4 {
				s.want("550 5.1.1", s.rcpt(fmt.Sprintf("user%d@%s", j, domains[(i+j)%4])), "unknown")
			}
			if i%2 == 0 {
				s.rcpt("alice@example.test")
				s.rcpt("alicia@example.test")
			}
			if i%5 == 0 {
				s.close()
			} else {
				s.quit()
			}
		})
	}
	add(func(c *smtpClient) { // VRFY answers the same
		s := c.open(25, false)
		for _, name := range []string{"alice", "nobody", "root@example.test"} {
			if strings.HasPrefix(s.cmd("VRFY "+name), "550 5.1.1 ") {
				s.did["harvest"]++
			}
		}
		s.quit()
	})
	add(func(c *smtpClient) { // until it is thrown out
		s := c.open(2526, false)
		s.cmd("MAIL FROM:<>")
		for i := 0; s.err == nil && i < 50; i++ {
			s.rcpt(fmt.Sprint("user", i, "@example.test"))
		}
		s.close()
	})
	add(func(c *smtpClient) { // not harvested: relaying, bad senders, bad syntax
		s := c.open(25, false)
		s.cmd("MAIL FROM:<nobody@example.test>")
		s.rcpt("victim@elsewhere.test")
		s.rcpt("alice@example.test")
		s.rcpt("not an address")
		s.quit()
	})
	add(func(c *smtpClient) { // a user who mistypes
		s := c.open(587, true)
		s.auth("PLAIN", "bob", password)
		s.cmd("MAIL FROM:<bob@example.test>")
		s.rcpt("alcie@example.test")
		s.rcpt("alice@example.test")
		s.want("354", s.cmd("DATA"), "DATA")
		s.want("250", s.cmd("Subject: x\r\n\r\nx\r\n."), "text")
		s.quit()
	})
}

// addSMTPScans adds clients that speak no SMTP, or as good as none. A
// connection is one scan.
func addSMTPScans(add adder) {
	scan := func(port, times int, do func(s *smtpSession)) {
		add(func(c *smtpClient) {
			for range times {
				s := c.dial(port)
				do(s)
				s.close()
				s.did["scan"]++
			}
		})
	}
	greeting := func(s *smtpSession) { s.want("220", s.reply(), "greeting") }
	for _, port := range []int{25, 587, 465} {
		scan(port, 3, func(s *smtpSession) {})
		scan(port, 1, func(s *smtpSession) { // gone with a RST, but not before smtpd knows its address
			time.Sleep(time.Second)
			s.conn.(*net.TCPConn).SetLinger(0)
		})
		scan(port, 1, func(s *smtpSession) { // another protocol
			io.WriteString(s.conn, "GET / HTTP/1.1\r\nHost: 192.0.2.66\r\n\r\n")
			io.Copy(io.Discard, s.conn)
		})
		scan(port, 1, func(s *smtpSession) { // TLS where there is none, or not that
			io.WriteString(s.conn, "\x16\x03\x01\x00\xee\x01\x00\x00\xea\x03\x03\r\n\r\n")
			time.Sleep(500 * time.Millisecond)
		})
	}
	for _, port := range []int{25, 587, 2526} {
		scan(port, 2, greeting)
		for _, line := range []string{"GET / HTTP/1.0", "POST /cgi-bin/x HTTP/1.1", "CONNECT 192.0.2.66:25 HTTP/1.0"} {
			scan(port, 1, func(s *smtpSession) {
				greeting(s)
				s.cmd(line)
				io.Copy(io.Discard, s.conn)
			})
		}
		scan(port, 1, func(s *smtpSession) { // what it says is no command
			greeting(s)
			s.cmd("SSH-2.0-Go")
		})
		scan(port, 1, func(s *smtpSession) {
			greeting(s)
			s.cmd("EHLO x")
		})
		scan(port, 1, func(s *smtpSession) {
			greeting(s)
			s.cmd("EHLO x")
			s.cmd("XYZZY")
		})
		scan(port, 1, func(s *smtpSession) { // no TLS after STARTTLS
			greeting(s)
			s.cmd("EHLO x")
			s.want("220", s.cmd("STARTTLS"), "STARTTLS")
			io.WriteString(s.conn, "GET / HTTP/1.0\r\n\r\n")
			time.Sleep(500 * time.Millisecond)
		})
	}
	scan(2526, 2, func(s *smtpSession) { // before the greeting
		s.cmd("EHLO early.example.test")
	})
	scan(2526, 1, func(s *smtpSession) { io.Copy(io.Discard, s.conn) }) // silent until it is thrown out

	// What is none: they speak SMTP.
	for i := range 3 {
		add(func(c *smtpClient) {
			s := c.somehow(i)
			if i == 1 {
				s.send()
			}
			s.quit()
		})
		add(func(c *smtpClient) { // the mail was sent, and that was it
			s := c.somehow(i)
			if i%4 == 2 {
				s.auth("PLAIN", "alice", password)
			}
			s.send()
			s.close()
		})
		add(func(c *smtpClient) { // it was there for passwords
			s := c.somehow(i)
			s.refused(1, "root")
			s.cmd("XYZZY")
			s.close()
		})
	}
	add(func(c *smtpClient) {
		s := c.dial(25)
		greeting(s)
		s.quit()
	})
}

// addSMTPOutage adds clients that come while saslauthd is away. None of them
// is told that a password is wrong.
func addSMTPOutage(add adder) {
	for i := range 8 {
		add(func(c *smtpClient) {
			s := c.somehow(i)
			pass := []string{password, "wrong"}[i%2]
			for j := range 1 + i%3 {
				s.want("454", s.auth([]string{"PLAIN", "LOGIN"}[j%2], "alice", pass), "saslauthd is down")
			}
			if i%3 == 0 {
				s.close()
			} else {
				s.quit()
			}
		}).when = saslDown
	}
	add(func(c *smtpClient) { // needs no saslauthd
		s := c.open(465, false)
		s.want("535", s.auth("CRAM-MD5", "alice", "wrong"), "wrong password")
		s.want("454", s.auth("LOGIN", "alice", password), "saslauthd is down")
		s.abort("AUTH PLAIN", "*")
		s.want("235", s.auth("CRAM-MD5", "alice", password), "right password")
		s.send()
		s.quit()
	}).when = saslDown
	for i := range 4 {
		add(func(c *smtpClient) {
			s := c.somehow(i)
			s.refused(2, "root")
			if i%2 == 0 {
				s.auth("PLAIN", "bob", password)
				s.send()
			}
			s.quit()
		}).when = saslBack
	}
	// An auth service that is there but cannot say, and one that hangs up. Of
	// the first the client is told, with 535, what it would be told of a wrong
	// password.
	for _, port := range []int{2527, 2528} {
		for i := range 3 {
			add(func(c *smtpClient) {
				s := c.open(port, i == 1)
				for range 1 + i {
					reply := s.auth("PLAIN", "root", "wrong")
					if port == 2528 {
						s.want("454", reply, "Dovecot hangs up")
					}
				}
				s.quit()
			})
		}
	}
}

// addSMTPDovecot adds clients of the service that asks Dovecot.
func addSMTPDovecot(add adder) {
	for i := range 10 {
		add(func(c *smtpClient) {
			s := c.open(2525, i%2 == 0)
			for j := range 1 + i%3 {
				s.want("535", s.auth([]string{"PLAIN", "LOGIN"}[(i+j)%2], []string{"root", "alice"}[i%2], "wrong"), "wrong password")
			}
			s.quit()
		}).dovecot = true
	}
	for i := range 3 {
		add(func(c *smtpClient) {
			s := c.open(2525, true)
			s.want("235", s.auth([]string{"PLAIN", "LOGIN"}[i%2], "alice", password), "right password")
			s.send()
			s.quit()
		}).dovecot = true
	}
	for _, lines := range [][]string{
		{"AUTH PLAIN", "*"},
		{"AUTH LOGIN", b64("root"), "*"},
		{"AUTH PLAIN not-base64!"},
		{"AUTH LOGIN", "not base64!"},
		{"AUTH PLAIN " + b64("root")},
		{"AUTH PLAIN ="},
		{"AUTH NTLM"},
	} {
		for _, after := range []bool{false, true} {
			add(func(c *smtpClient) {
				s := c.open(2525, true)
				s.abort(lines...)
				if after {
					s.refused(1, "root")
				}
				s.quit()
			}).dovecot = true
		}
	}
	add(func(c *smtpClient) {
		s := c.open(2525, false)
		s.want("334", s.cmd("AUTH PLAIN"), "AUTH PLAIN")
		s.close()
		s.did["abort"]++
	}).dovecot = true
}
