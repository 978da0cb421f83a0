package parse

import "bytes"

// postfix reads smtpd(8) of Postfix, src/smtpd/smtpd.c, smtpd_sasl_glue.c and
// smtpd_check.c; 3.7, 3.10 and 3.11 were seen. CLIENT is NAME[ADDR], where NAME
// is "unknown" or a name that resolves to the address, and has no blank and no
// bracket; with smtpd_client_port_logging, :PORT follows.
//
//	warning: CLIENT: SASL MECH authentication failed: REASON, sasl_username=USER
//	warning: CLIENT: SASL MECH authentication aborted
//	lost connection after AUTH from CLIENT
//	disconnect from CLIENT ehlo=1 auth=0/2 quit=1 commands=2/4
//	QUEUE: client=CLIENT, sasl_method=MECH, sasl_username=USER
//	QUEUE: reject: RCPT from CLIENT: 550 5.1.1 <TO>: Recipient address rejected: …
//	warning: non-SMTP command from CLIENT: TEXT
//
// Before 3.6 a failure has no sasl_username, and before 3.0 a disconnect no
// numbers. MECH, USER, TO and TEXT are the client's: MECH has no blank, and the
// others stand right of what is read. An AUTH that is refused without a look,
// for want of TLS or because it names no mechanism, is told by the numbers only,
// so these are what a session comes to in the end.
func postfix(msg []byte, w *wanted, e *Event) bool {
	word, rest, _ := bytes.Cut(msg, []byte(" "))
	queue := len(word) > 1 && word[len(word)-1] == ':' && string(word) != "warning:"
	if queue && !bytes.HasPrefix(rest, []byte("client=")) && !bytes.HasPrefix(rest, []byte("reject: ")) {
		word, rest, _ = bytes.Cut(rest, []byte(" ")) // since 3.10
	}
	if !w[nothing] {
		e.Session = 0 // nothing needs to be joined
	}
	switch string(word) {
	case "warning:":
		return postfixWarning(rest, e)
	case "disconnect":
		return w[nothing] && postfixDisconnect(rest, e)
	case "lost", "timeout", "too":
		return postfixGone(rest, e)
	case "SSL_accept":
		return postfixScan(rest, "error from ", e)
	case "improper":
		return postfixScan(rest, "command pipelining after CONNECT from ", e)
	}
	if len(word) < 2 || word[len(word)-1] != ':' {
		return false
	}
	if rest, ok := bytes.CutPrefix(rest, []byte("client=")); ok {
		return postfixSuccess(rest, e)
	}
	for _, command := range []string{"reject: RCPT from ", "reject: VRFY from "} {
		if client, ok := bytes.CutPrefix(rest, []byte(command)); ok {
			rest, ok = postfixClient(client, e)
			e.Kind, e.Class = Failure, Harvest
			return ok && bytes.HasPrefix(rest, []byte(": 550 5.1.1 "))
		}
	}
	return false
}

// postfixClient reads CLIENT.
func postfixClient(text []byte, e *Event) (rest []byte, ok bool) {
	i := bytes.IndexByte(text, '[')
	if i <= 0 || bytes.IndexByte(text[:i], ' ') >= 0 {
		return nil, false
	}
	addr, rest, ok := bytes.Cut(text[i+1:], []byte("]"))
	if !ok {
		return nil, false
	}
	if len(rest) > 1 && rest[0] == ':' {
		if port, after := number(rest[1:]); port > 0 {
			rest = after
		}
	}
	e.Addr, ok = address(bytes.TrimPrefix(addr, []byte("IPv6:")))
	return rest, ok
}

// postfixWarning reads what follows "warning: ".
func postfixWarning(text []byte, e *Event) bool {
	if bytes.HasPrefix(text, []byte("non-SMTP command from ")) {
		return postfixScan(text, "non-SMTP command from ", e)
	}
	rest, ok := postfixClient(text, e)
	if !ok {
		return false
	}
	rest, ok = bytes.CutPrefix(rest, []byte(": SASL "))
	if !ok {
		return false
	}
	mech, rest, _ := bytes.Cut(rest, []byte(" "))
	e.Kind = Failure
	reason, ok := bytes.CutPrefix(rest, []byte("authentication failed"))
	if ok && (len(reason) == 0 || reason[0] == ':') { // no reason until 2.2
		reason = bytes.TrimPrefix(reason, []byte(":"))
		reason, user, named := bytes.Cut(reason, []byte(", sasl_username="))
		reason = bytes.TrimSpace(reason)
		e.Class, e.User = postfixReason(reason), user
		// Where Dovecot gives no reason, Postfix up to 3.8 shows what it asked
		// last: here "Username:", so that there was no password yet.
		if string(reason) == "VXNlcm5hbWU6" && bytes.EqualFold(mech, []byte("LOGIN")) {
			e.Class = Abort
		}
		if named && string(user) == "(unavailable)" {
			e.User = nil
			if string(reason) == "(reason unavailable)" { // Dovecot was given neither
				e.Class = Abort
			}
		}
		return true
	}
	e.Class = Abort
	return bytes.HasPrefix(rest, []byte("authentication aborted"))
}

// postfixReasons are the reasons for which no password was found wrong. Those of
// Cyrus SASL are in its lib/common.c, sasl_errstring(); the others come from
// Postfix' own src/xsasl/xsasl_dovecot_server.c. A reason that is not here is a
// refusal, in the words of whoever answered.
var postfixReasons = []struct {
	begins string
	class  Class
}{
	{"authentication failure", Auth}, // first, as it is what nearly all say

	{"generic failure", nothing}, // also of correct passwords, when saslauthd is away
	{"Connection lost to authentication server", nothing},
	{"connection lost to authentication server", nothing},
	{"remote authentication server unavailable", nothing},
	{"transient failure", nothing},
	{"no memory available", nothing},
	{"SASL library is not initialized", nothing},
	{"version mismatch with plug-in", nothing},
	{"temporary ", nothing},
	{"Temporary ", nothing},
	{"Internal ", nothing},
	{"Authentication backend error", nothing},

	{"bad protocol / cancel", Abort},
	{"no mechanism available", Abort},
	{"another step is needed in authentication", Abort},
	{"overflowed buffer", Abort},
	{"can't request information until later in exchange", Abort},
	{"invalid parameter supplied", Abort},
	{"mechanism too weak for this user", Abort},
	{"encryption needed to use mechanism", Abort},
	{"one time use of a plaintext password will enable", Abort},
	{"Invalid base64 data", Abort},
	{"Invalid authentication mechanism", Abort},
	{"malformed ", Abort},

	// Dovecot's, in src/auth/auth-request-handler.c.
	{"Unsupported authentication mechanism", Abort},
	{"Authentication request timed out", Abort},
	{"Unexpected continuation", Abort},
	{"Client didn't present valid SSL certificate", Abort},
	{"SSL certificate didn't contain username", Abort},
}

func postfixReason(reason []byte) Class {
	for _, r := range postfixReasons {
		if bytes.HasPrefix(reason, []byte(r.begins)) {
			return r.class
		}
	}
	return Auth
}

// postfixGone reads the end of a connection that the client did not end
// properly. After a command that may mean something, but what the session came
// to is known from the disconnect only: whoever logged in may hang up then.
func postfixGone(text []byte, e *Event) bool {
	_, text, ok := bytes.Cut(text, []byte("after "))
	if !ok {
		return false
	}
	command, client, ok := bytes.Cut(text, []byte(" from "))
	if !ok {
		return false
	}
	e.Kind = Hint
	switch string(command) {
	case "AUTH":
		e.Class = Abort
	case "CONNECT", "EHLO", "HELO", "UNKNOWN", "STARTTLS":
		e.Class = Scan
	default:
		return false
	}
	_, ok = postfixClient(client, e)
	return ok
}

func postfixScan(text []byte, begins string, e *Event) bool {
	client, ok := bytes.CutPrefix(text, []byte(begins))
	if !ok {
		return false
	}
	e.Kind, e.Class = Hint, Scan
	_, ok = postfixClient(client, e)
	return ok
}

// postfixDisconnect reads how many commands there were of each kind, and how
// many of them went well: 3, or 2/3.
func postfixDisconnect(text []byte, e *Event) bool {
	client, ok := bytes.CutPrefix(text, []byte("from "))
	if !ok {
		return false
	}
	rest, ok := postfixClient(client, e)
	e.Kind, e.Each = Disconnect, 0
	for field := range bytes.FieldsSeq(rest) {
		command, counts, _ := bytes.Cut(field, []byte("="))
		good, after := number(counts)
		all := good
		if len(after) > 1 && after[0] == '/' {
			all, _ = number(after[1:])
		}
		switch string(command) {
		case "auth":
			e.Each, e.Spoke = max(all, good)-good, true
		case "mail", "rcpt", "data":
			e.Spoke = true
		case "commands":
			e.Class = Abort // so the numbers are there
		}
	}
	return ok
}

// postfixSuccess reads the first line of a message, which says who sends it.
func postfixSuccess(text []byte, e *Event) bool {
	rest, ok := postfixClient(text, e)
	if !ok {
		return false
	}
	rest, ok = bytes.CutPrefix(rest, []byte(", sasl_method="))
	if !ok {
		return false
	}
	_, user, ok := bytes.Cut(rest, []byte(", sasl_username="))
	user, _, _ = bytes.Cut(user, []byte(", sasl_sender="))
	e.Kind, e.User = Success, user
	return ok
}
