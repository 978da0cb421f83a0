package daemons_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// postfix is attacked on
//
//	25    smtp, TLS or not; SASL by Cyrus: saslauthd with PAM, CRAM-MD5 from sasldb
//	587   submission, AUTH after STARTTLS only
//	465   smtps
//	2525  postfix/mx2: SASL by Dovecot, if that runs
//	2526  postfix-mx3: impatient in every way
//	2527  postfix/mx4: SASL by a Dovecot that is not well
//	2528  postfix/mx5: SASL by a Dovecot that hangs up
var postfix = daemon{
	name: "postfix",
	addrs: func() []netip.Addr {
		var list []netip.Addr
		for _, c := range smtpClients() {
			list = append(list, c.addr)
		}
		return list
	},
	start:  startPostfix,
	attack: attackPostfix,
	stop:   func(m *machine) error { return m.exec("/usr/sbin/postfix", "stop") },
}

const mainCf = `compatibility_level = 3.6
queue_directory = /var/spool/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
data_directory = /var/lib/postfix
myhostname = mail.example.test
mydomain = example.test
mynetworks = 127.0.0.0/8
inet_interfaces = 192.0.2.1, 2001:db8:ffff::1
mydestination = example.test
alias_maps =
alias_database =
local_recipient_maps = inline:{ alice=x, bob=x, carol=x }
local_transport = discard
virtual_alias_domains = alias.test
virtual_alias_maps = inline:{ info@alias.test=alice }
virtual_mailbox_domains = mailbox.test
virtual_mailbox_maps = inline:{ info@mailbox.test=x }
virtual_transport = discard
relay_domains = relay.test
relay_recipient_maps = inline:{ info@relay.test=x }
relay_transport = discard
default_transport = discard
smtpd_recipient_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/ssl/test.pem
smtpd_tls_key_file = /etc/ssl/test.key
smtpd_tls_loglevel = 1
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = example.test
cyrus_sasl_config_path = /etc/postfix/sasl
smtpd_client_connection_count_limit = 0
`

const masterCf = `smtp       inet  n - n - -  smtpd
submission inet  n - n - -  smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
smtps      inet  n - n - -  smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
2525       inet  n - n - -  smtpd
  -o syslog_name=postfix/mx2
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path=private/auth
2526       inet  n - n - -  smtpd
  -o syslog_name=postfix-mx3
  -o smtpd_delay_reject=no
  -o { smtpd_client_restrictions = sleep 2 }
  -o smtpd_timeout=3
  -o smtpd_hard_error_limit=5
  -o smtpd_soft_error_limit=3
2527       inet  n - n - -  smtpd
  -o syslog_name=postfix/mx4
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path=private/unwell
2528       inet  n - n - -  smtpd
  -o syslog_name=postfix/mx5
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path=private/gone
pickup     unix  n - n 60 1 pickup
cleanup    unix  n - n - 0  cleanup
qmgr       unix  n - n 300 1 qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n - -  trivial-rewrite
bounce     unix  - - n - 0  bounce
defer      unix  - - n - 0  bounce
trace      unix  - - n - 0  bounce
verify     unix  - - n - 1  verify
flush      unix  n - n 1000? 0 flush
proxymap   unix  - - n - -  proxymap
smtp       unix  - - n - -  smtp
error      unix  - - n - -  error
retry      unix  - - n - -  error
discard    unix  - - n - -  discard
anvil      unix  - - n - 1  anvil
`

// startPostfix starts saslauthd, the two that pass for Dovecot, and Postfix.
func startPostfix(m *machine) error {
	for name, text := range map[string]string{
		"/etc/postfix/main.cf":         mainCf,
		"/etc/postfix/master.cf":       masterCf,
		"/etc/postfix/sasl/smtpd.conf": "pwcheck_method: saslauthd\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN CRAM-MD5\n",
		// Without nodelay each refusal takes two seconds.
		"/etc/pam.d/smtp": "auth required pam_unix.so nodelay\naccount required pam_unix.so\n",
		// Else a name would be that of every address that has it: none of the
		// reverse names would be wrong.
		"/etc/host.conf": "multi off\n",
	} {
		if err := m.write(name, text); err != nil {
			return err
		}
	}
	passwd := m.command("/usr/sbin/saslpasswd2", "-p", "-c", "-u", "example.test", "alice")
	passwd.Stdin = strings.NewReader(password)
	if out, err := passwd.CombinedOutput(); err != nil {
		return fmt.Errorf("saslpasswd2: %v: %s", err, out)
	}
	// Once postfix start is done, Postfix listens.
	return errors.Join(
		os.Chmod(m.root+"/etc/sasldb2", 0o644),
		os.MkdirAll(m.root+"/run/saslauthd", 0o755),
		m.hosts(smtpHosts()),
		startSaslauthd(m),
		m.exec("/usr/sbin/postfix", "start"),
		ailing(m.root+"/var/spool/postfix/private/unwell", "temp"),
		ailing(m.root+"/var/spool/postfix/private/gone", ""))
}

// saslauthd's file says who it is.
const saslauthdPid = "/run/saslauthd/saslauthd.pid"

func startSaslauthd(m *machine) error {
	if err := m.exec("/usr/sbin/saslauthd", "-a", "pam", "-n", "5", "-m", "/run/saslauthd"); err != nil {
		return err
	}
	return wait(func() error {
		c, err := net.Dial("unix", m.root+"/run/saslauthd/mux")
		if err == nil {
			c.Close()
		}
		return errors.Join(err, os.Chmod(m.root+"/run/saslauthd", 0o755))
	})
}

func stopSaslauthd(m *machine) error {
	text, err := os.ReadFile(m.root + saslauthdPid)
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	return wait(func() error {
		c, err := net.Dial("unix", m.root+"/run/saslauthd/mux")
		if err == nil {
			c.Close()
			return errors.New("saslauthd is still there")
		}
		return nil
	})
}

// ailing listens as Dovecot's auth does, and answers each login with a failure
// of its own, or hangs up.
func ailing(socket, failure string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	serve := func(c net.Conn) {
		defer c.Close()
		fmt.Fprint(c, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0123456789abcdef\nDONE\n")
		for in := bufio.NewScanner(c); in.Scan(); {
			f := strings.Split(in.Text(), "\t")
			switch {
			case f[0] != "AUTH" && f[0] != "CONT":
			case failure == "":
				return
			default:
				fmt.Fprintf(c, "FAIL\t%s\tuser=root\t%s\n", f[1], failure)
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return nil
}

// attackPostfix lets all clients do what they do, saslauthd being stopped for
// some of them.
func attackPostfix(m *machine) ([]outcome, error) {
	all := smtpClients()
	_, err := os.Stat(m.root + "/var/spool/postfix/private/auth")
	noDovecot := err != nil
	var errs []error
	for when := range saslStates {
		switch when {
		case saslDown:
			errs = append(errs, stopSaslauthd(m))
		case saslBack:
			errs = append(errs, startSaslauthd(m))
		}
		runSMTP(all, func(c *smtpClient) bool {
			return c.when == when && !(c.dovecot && noDovecot)
		})
	}
	var list []outcome
	for _, c := range all {
		for class, n := range c.did {
			list = append(list, outcome{c.addr, class, n})
		}
		errs = append(errs, c.errs...)
	}
	return list, errors.Join(append(errs, quiet(m))...)
}

// quiet waits until Postfix has logged the end of each connection.
func quiet(m *machine) error {
	last := -1
	for range 40 {
		time.Sleep(500 * time.Millisecond)
		open := map[string]bool{}
		n := 0
		for line := range strings.Lines(m.log()) {
			f := strings.Fields(line)
			if len(f) < 6 || !strings.HasPrefix(f[4], "postfix") {
				continue
			}
			n++
			switch f[5] {
			case "connect":
				open[f[4]] = true
			case "disconnect", "fatal:":
				delete(open, f[4])
			}
		}
		if len(open) == 0 && n == last {
			return nil
		}
		last = n
	}
	return errors.New("connections that do not end")
}
