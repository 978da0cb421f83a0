package parse

import (
	"bytes"
	"hash/fnv"
	"net/netip"
)

// sshd reads sshd(8), which is sshd-session and sshd-auth in newer versions:
// auth.c, auth2.c, packet.c, sshd.c, srclimit.c; 9.2, 10.0 and 10.6 were seen.
//
//	Failed METHOD for [invalid user ]USER from ADDR port N ssh2[: KEY]
//	Accepted METHOD for USER from ADDR port N ssh2[: KEY]
//	Invalid user USER from ADDR port N
//	[error: ]maximum authentication attempts exceeded for [invalid user ]USER from ADDR port N ssh2 [preauth]
//	Connection closed by authenticating user USER ADDR port N [preauth]
//	drop connection #N from [ADDR]:N on [ADDR]:22 penalty: failed authentication
//
// also "Connection reset by", "Disconnected from" and "Disconnecting". Until 7.5
// ssh2 may be ssh1, and until 7.2 some lines have no port. An invalid USER may be
// anything but control bytes, so the address is read from the right end. One
// that exists has no blank, so it is read from the left: KEY may have a
// certificate's name in it, which is its owner's choice, and the line is cut when
// that is long.
//
// A refused attempt has a line of its own, or none, as for most public keys. Of
// the lines without a method there are several in a session; all that they say
// is that it had one failure.
func sshd(msg []byte, _ *wanted, e *Event) bool {
	msg = bytes.TrimPrefix(msg, []byte("error: "))
	word, rest, _ := bytes.Cut(msg, []byte(" "))
	switch string(word) {
	case "Failed":
		return sshdFailed(rest, e)
	case "Accepted":
		return sshdAccepted(rest, e)
	case "Invalid":
		e.Kind = AtLeast
		return sshdUserFrom(rest, "user ", "", e)
	case "PAM:":
		return sshdPAM(rest, e)
	case "maximum":
		e.Kind = AtLeast
		return sshdUserFrom(rest, "authentication attempts exceeded for ", " ssh2 [preauth]", e)
	case "Connection": // closed by, reset by; but not "from", with LogLevel VERBOSE
		how, client, _ := bytes.Cut(rest, []byte(" by "))
		return (string(how) == "closed" || string(how) == "reset") && sshdClosed(client, e)
	case "Disconnected":
		client, ok := bytes.CutPrefix(rest, []byte("from "))
		return ok && sshdClosed(client, e)
	case "Disconnecting":
		return sshdDisconnecting(rest, e)
	case "drop":
		return sshdDropped(rest, e)
	case "banner", "ssh_dispatch_run_fatal:", "Unable", "Did", "Bad", "Timeout", "fatal:":
		return sshdScan(msg, e)
	}
	return false
}

// sshdFailed reads METHOD for [invalid user ]USER from ADDR port N ssh2[: KEY].
// The method none is an empty password, where such are let in.
func sshdFailed(text []byte, e *Event) bool {
	method, rest, ok := bytes.Cut(text, []byte(" for "))
	if !ok || bytes.IndexByte(method, ' ') >= 0 {
		return false
	}
	e.Kind = Failure
	if bytes.HasPrefix(method, []byte("keyboard-interactive")) {
		e.Kind = Echo // of what PAM says
	}
	user, invalid := bytes.CutPrefix(rest, []byte("invalid user "))
	if !invalid {
		_, ok = sshdKnownFrom(rest, e)
		return ok
	}
	if s := string(method); s != "publickey" && s != "hostbased" {
		return sshdUserFrom(user, "", " ssh2", e) || sshdUserFrom(user, "", " ssh1", e)
	}
	// USER and KEY are both the client's. Where that leaves a doubt, the line is
	// of whoever the session is of: "Invalid user" came before.
	i := bytes.Index(user, []byte(" ssh2"))
	if i < 0 || i < bytes.LastIndex(user, []byte(" ssh2")) {
		return i >= 0
	}
	return sshdUserFrom(user[:i], "", "", e)
}

// sshdPAM reads what sshd says of a keyboard-interactive login that PAM refused
// (auth-pam.c, sshpam_query()), with " via ADDR" in FreeBSD:
//
//	REASON for [illegal user ]USER from ADDR
//
// ADDR is a name with UseDNS, and then the line is of no use. sshd's own "Failed"
// follows for users that do not exist, and for others from the third attempt on.
func sshdPAM(text []byte, e *Event) bool {
	for _, reason := range []string{
		"authentication failure for ", // Linux-PAM
		"user not known to the underlying authentication module for ",
		"have exhausted maximum number of retries for service for ",
		"authentication error for ", // OpenPAM
		"unknown user for ",
		"maximum number of tries exceeded for ",
	} {
		if len(text) < len(reason) || !bytes.EqualFold(text[:len(reason)], []byte(reason)) {
			continue
		}
		user, client, ok := lastField(text[len(reason):], " from ")
		if !ok {
			return false
		}
		client, _, _ = bytes.Cut(client, []byte(" via "))
		e.Kind, e.User = Foretold, bytes.TrimPrefix(user, []byte("illegal user "))
		e.Addr, ok = address(client)
		return ok
	}
	return false
}

// sshdUserFrom reads BEGINS[invalid user ]USER from ADDR port N ENDS.
func sshdUserFrom(text []byte, begins, ends string, e *Event) bool {
	text, ok := bytes.CutPrefix(text, []byte(begins))
	if !ok {
		return false
	}
	if text, ok = bytes.CutSuffix(text, []byte(ends)); !ok {
		return false
	}
	user, client, ok := lastField(text, " from ")
	if !ok {
		return false
	}
	e.User = bytes.TrimPrefix(user, []byte("invalid user "))
	e.Addr, ok = sshdClient(client)
	return ok
}

// sshdAccepted reads METHOD for USER from ADDR port N ssh2[: KEY].
func sshdAccepted(text []byte, e *Event) bool {
	_, rest, ok := bytes.Cut(text, []byte(" for "))
	if !ok {
		return false
	}
	client, ok := sshdKnownFrom(rest, e)
	e.Kind, e.Session = Success, sshdConnection(client)
	return ok
}

// sshdConnection is the session of a connection whose lines are of several
// processes: a hash of "ADDR port N".
func sshdConnection(client []byte) uint64 {
	h := fnv.New64a()
	h.Write(client)
	return h.Sum64()
}

// sshdKnownFrom reads USER from ADDR port N ssh2[: KEY], where USER exists, and
// returns "ADDR port N".
func sshdKnownFrom(text []byte, e *Event) (client []byte, ok bool) {
	user, rest, ok := bytes.Cut(text, []byte(" from "))
	if !ok {
		return nil, false
	}
	client, version, _ := bytes.Cut(rest, []byte(" ssh"))
	if len(version) == 0 || version[0] != '1' && version[0] != '2' {
		return nil, false
	}
	e.User = user
	e.Addr, ok = clientPort(client)
	return client, ok
}

// sshdClient reads ADDR port N, or ADDR as until 7.2.
func sshdClient(text []byte) (netip.Addr, bool) {
	if addr, ok := clientPort(text); ok {
		return addr, true
	}
	return address(text)
}

// sshdClosed reads how a connection ended before anybody was logged in. Until
// 7.2 there is no port, and it is not known whether somebody was logged in.
func sshdClosed(text []byte, e *Event) bool {
	text, preauth := bytes.CutSuffix(text, []byte(" [preauth]"))
	var ok bool
	if e.Addr, ok = clientPort(text); ok { // nobody was named
		e.Kind, e.Class = Disconnect, Scan
		if !preauth { // nor, perhaps, by the process that let somebody in
			e.Session = sshdConnection(text)
		}
		return true
	}
	e.Kind = AtLeast
	for _, who := range []string{"authenticating user ", "invalid user "} {
		if text, ok := bytes.CutPrefix(text, []byte(who)); ok {
			user, port, ok := lastField(text, " port ")
			if !ok {
				return false
			}
			user, addr, ok := lastField(user, " ")
			if !ok {
				return false
			}
			if n, after := number(port); n == 0 || len(after) > 0 {
				return false
			}
			e.User = user
			e.Addr, ok = address(addr)
			return ok
		}
	}
	return false
}

// sshdDisconnecting reads authenticating user USER ADDR port N: REASON [preauth],
// where USER exists. Of others, "Invalid user" came before.
func sshdDisconnecting(text []byte, e *Event) bool {
	text, ok := bytes.CutPrefix(text, []byte("authenticating user "))
	if !ok {
		return false
	}
	user, client, _ := bytes.Cut(text, []byte(" "))
	client, _, ok = bytes.Cut(client, []byte(": "))
	if !ok {
		return false
	}
	e.Kind, e.User = AtLeast, user
	e.Addr, ok = clientPort(client)
	return ok
}

// sshdDropped reads what becomes of clients that PerSourcePenalties keep out.
func sshdDropped(text []byte, e *Event) bool {
	_, text, ok := bytes.Cut(text, []byte(" from ["))
	if !ok {
		return false
	}
	addr, text, ok := bytes.Cut(text, []byte("]:"))
	if !ok {
		return false
	}
	_, penalty, ok := bytes.Cut(text, []byte(" penalty: "))
	if !ok {
		return false // past MaxStartups: others are the cause
	}
	e.Kind, e.Class, e.Session = Failure, Scan, 0
	if s := string(penalty); s == "failed authentication" || s == "invalid user" {
		e.Class = Auth
	}
	e.Addr, ok = address(addr)
	return ok
}

// sshdScan reads how the connection of a client ended that does not speak SSH,
// or none that sshd knows, or that never said who it was.
func sshdScan(msg []byte, e *Event) bool {
	e.Kind, e.Class = Disconnect, Scan
	msg = bytes.TrimPrefix(msg, []byte("fatal: "))
	for _, begins := range []string{
		"banner exchange: Connection from ",
		"ssh_dispatch_run_fatal: Connection from ",
		"Unable to negotiate with ",
		"Timeout before authentication for ", // until 9.7
	} {
		if client, ok := bytes.CutPrefix(msg, []byte(begins)); ok && !bytes.HasPrefix(client, []byte("connection ")) {
			client, _, _ = bytes.Cut(client, []byte(": "))
			e.Addr, ok = sshdClient(client)
			return ok
		}
	}
	// Timeout before authentication for connection from ADDR to ADDR, pid = N
	// is what the parent says of its child.
	if client, ok := bytes.CutPrefix(msg, []byte("Timeout before authentication for connection from ")); ok {
		addr, rest, _ := bytes.Cut(client, []byte(" to "))
		_, pid, _ := bytes.Cut(rest, []byte(", pid = "))
		n, _ := number(pid)
		e.Session = e.Session>>32<<32 | uint64(n)
		e.Addr, ok = address(addr)
		return ok
	}
	for _, begins := range []string{ // until 7.3 and 8.4
		"Did not receive identification string from ",
		"Bad protocol version identification ",
	} {
		if bytes.HasPrefix(msg, []byte(begins)) {
			_, client, ok := lastField(msg, " from ")
			if ok {
				e.Addr, ok = sshdClient(client)
			}
			return ok
		}
	}
	return false
}
