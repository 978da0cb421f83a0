# For BSD make and GNU make alike: no conditionals, no includes, no patterns.
#
#	make && doas make install
#
# Never make a folder obj here: BSD make would work inside it.

PREFIX ?= /usr/local
BINDIR ?= ${PREFIX}/sbin
MANDIR ?= ${PREFIX}/man
DESTDIR ?=
GO ?= go
GOFMT ?= gofmt
GOTESTFLAGS ?=
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.7.0

# PACKAGE:TARGET:RUNS. A number of runs, not seconds: before Go 1.27 the end of
# the time may count as a failure (go.dev/issue/75804). The seeds count as runs,
# and FuzzLog has 2,300.
FUZZ ?= parse:FuzzLine:200000 parse:FuzzPostfix:100000 parse:FuzzDovecot:100000 \
	parse:FuzzSSHD:100000 regress:FuzzLog:10000 ignore:FuzzRead:100000

# The gate, in the order in which it runs.
STAGES = fmt vet cross unit fuzz regress lint staticcheck makes

.PHONY: all test bench install uninstall clean update ${STAGES}

# Go knows what is stale.
all:
	CGO_ENABLED=0 ${GO} build -trimpath -o ban_smtpd .

# No prerequisites: root never runs the Go toolchain.
install:
	install -d -m 755 ${DESTDIR}${BINDIR} ${DESTDIR}${MANDIR}/man8
	install -m 555 ban_smtpd ${DESTDIR}${BINDIR}/ban_smtpd
	install -m 444 man/ban_smtpd.8 ${DESTDIR}${MANDIR}/man8/ban_smtpd.8

uninstall:
	rm -f ${DESTDIR}${BINDIR}/ban_smtpd ${DESTDIR}${MANDIR}/man8/ban_smtpd.8

clean:
	rm -f ban_smtpd

bench: all
	${GO} run ./regress/bench ./ban_smtpd

# Writes the .ok files of regress anew: review them with git diff.
update: all
	sh regress/run.sh -u ./ban_smtpd

test: ${STAGES}

fmt:
	@echo "==== $@ ===="
	@bad=$$(${GOFMT} -l .) || exit 1; \
	[ -z "$$bad" ] || { echo "gofmt would change:"; echo "$$bad"; exit 1; }

vet:
	@echo "==== $@ ===="
	${GO} vet ./...
	GOOS=openbsd GOARCH=amd64 ${GO} vet ./...
	GOOS=freebsd GOARCH=amd64 ${GO} vet ./...

cross:
	@echo "==== $@ ===="
	CGO_ENABLED=0 GOOS=openbsd GOARCH=amd64 ${GO} build -trimpath -o /dev/null .
	CGO_ENABLED=0 GOOS=freebsd GOARCH=amd64 ${GO} build -trimpath -o /dev/null .

# What a machine lacks is named by a line with SKIPPED, which only -v shows; of
# the rest of -v nobody wants to read anything but a failure. To make the Debians
# that are attacked takes minutes.
unit:
	@echo "==== $@ ===="
	@out=$$(mktemp) || exit 1; \
	${GO} test -v -timeout 40m ${GOTESTFLAGS} ./... >"$$out" 2>&1; status=$$?; \
	if [ $$status = 0 ]; then grep -E '^ok|SKIP' "$$out"; else cat "$$out"; fi; \
	rm -f "$$out"; exit $$status

# go test calls it a success when there is no such target.
fuzz:
	@echo "==== $@ ===="
	@for f in ${FUZZ}; do \
		echo "$$f"; \
		(IFS=:; set -- $$f; unset IFS; \
		${GO} test -list "^$$2\$$" "./$$1" | grep "^$$2\$$" >/dev/null || \
			{ echo "no target $$2 in $$1"; exit 1; }; \
		exec ${GO} test -run '^$$' -fuzz "^$$2\$$" -fuzztime "$${3}x" \
			-fuzzminimizetime 100x "./$$1") || exit 1; \
	done

regress: all
	@echo "==== $@ ===="
	sh regress/run.sh ./ban_smtpd

lint:
	@echo "==== $@ ===="
	@if command -v mandoc >/dev/null; then \
		mandoc -Tlint -Wwarning man/ban_smtpd.8; \
	else \
		echo "SKIPPED: mandoc is not installed"; \
	fi

staticcheck:
	@echo "==== $@ ===="
	@if ${GO} run ${STATICCHECK} -version; then \
		${GO} run ${STATICCHECK} ./...; \
	else \
		echo "SKIPPED: cannot get ${STATICCHECK}"; \
	fi

# Whichever make runs this, the other kind must understand the file too.
makes:
	@echo "==== $@ ===="
	@gnu= bsd=; \
	for m in make gmake bmake; do \
		command -v $$m >/dev/null || continue; \
		if $$m --version 2>/dev/null | grep GNU >/dev/null; then gnu=$$m; else bsd=$$m; fi; \
	done; \
	for m in "$$gnu" "$$bsd"; do \
		[ -n "$$m" ] || { echo "SKIPPED: only one kind of make is installed"; continue; }; \
		echo "$$m -n"; \
		MAKEFLAGS= $$m -n all test bench install uninstall clean update >/dev/null || exit 1; \
	done
