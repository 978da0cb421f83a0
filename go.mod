module ban_smtpd

go 1.25.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/go-logfmt/logfmt v0.6.1
	golang.org/x/sys v0.47.0
)
