package parse

import (
	"bytes"
	"slices"
	"time"
)

// stamps reads the time at the beginning of a line.
type stamps struct {
	loc    *time.Location
	latest int64 // Unix seconds; no line is later
	year   int   // the year of latest

	// The minute of the line before: most lines have the same one, and
	// time.Date in a zone with summer time is what costs most in a line.
	minute [16]byte
	zone   [6]byte
	base   int64 // Unix seconds when that minute began
	isoEnd int   // 0: minute is of a BSD stamp; otherwise the length of zone

	rfc5424  bool // the line before was in that form
	fraction bool // and its time had a fraction of a second, so hardly a line has the same
}

// bsd is how long "Nov 21 00:16:35" is, and iso "2026-11-21T00:16:35".
const (
	bsd = 15
	iso = 19
)

// cut returns the time that a line begins with, in Unix seconds, and the rest
// of the line, with its leading space. Two forms are in use, and a third where the
// second follows the priority:
//
//	Nov 21 00:16:35                     syslogd(8), local time, no year
//	2026-11-21T00:16:35.123456+01:00    syslogd -Z, and rsyslog; or Z
//	<22>1 2026-11-21T00:16:35…          FreeBSD's syslogd -O rfc5424
//
// A day of one digit has two spaces before it, or one in a log that was copied
// out of a web page, as some of fail2ban's and CrowdSec's samples were.
func (s *stamps) cut(line []byte) (when int64, rest []byte, ok bool) {
	s.fraction = false
	if s.rfc5424 = len(line) > 0 && line[0] == '<'; s.rfc5424 {
		var version bool
		_, line = number(line[1:])
		if line, version = bytes.CutPrefix(line, []byte(">1 ")); !version {
			return 0, nil, false
		}
	}
	if len(line) > bsd && line[3] == ' ' && line[bsd] == ' ' {
		when, ok = s.parseBSD(line[:bsd])
		return when, line[bsd:], ok
	}
	if len(line) >= bsd && line[3] == ' ' && line[5] == ' ' && line[bsd-1] == ' ' {
		when, ok = s.parseBSD(slices.Insert(line[:bsd-1:bsd-1], 4, ' '))
		return when, line[bsd-1:], ok
	}
	if len(line) > iso && line[4] == '-' && line[10] == 'T' {
		return s.parseISO(line)
	}
	return 0, nil, false
}

func (s *stamps) parseBSD(b []byte) (int64, bool) {
	if b[9] != ':' || b[12] != ':' {
		return 0, false
	}
	sec, ok := two(b[13:])
	if !ok || sec > 60 { // 60: a leap second
		return 0, false
	}
	if s.isoEnd == 0 && string(b[:12]) == string(s.minute[:12]) {
		return s.base + int64(sec), true
	}
	month := month(b[:3])
	day, okDay := two(b[4:])
	hour, okHour := two(b[7:])
	min, okMin := two(b[10:])
	if month == 0 || b[6] != ' ' || !okDay || !okHour || !okMin || day < 1 || hour > 23 || min > 59 {
		return 0, false
	}
	// The latest year in which this is a date, and not later than latest.
	// Eight years reach over a century without a leap year.
	for year := s.year; year > s.year-9; year-- {
		t := time.Date(year, month, day, hour, min, 0, 0, s.loc)
		if t.Unix() > s.latest || t.Month() != month && day > 28 {
			continue
		}
		copy(s.minute[:], b[:12])
		s.base, s.isoEnd = firstOf(t).Unix(), 0
		return s.base + int64(sec), true
	}
	return 0, false
}

// firstOf returns the first of the two times, in autumn, that a local time may
// be. Which of them time.Date returns depends on the zone.
func firstOf(t time.Time) time.Time {
	_, after := t.Zone()
	_, before := t.Add(-2 * time.Hour).Zone()
	first := t.Add(time.Duration(after-before) * time.Second)
	if first.Before(t) && first.Hour() == t.Hour() && first.Minute() == t.Minute() {
		return first
	}
	return t
}

func (s *stamps) parseISO(line []byte) (int64, []byte, bool) {
	if line[7] != '-' || line[13] != ':' || line[16] != ':' {
		return 0, nil, false
	}
	sec, ok := two(line[17:])
	if !ok || sec > 60 {
		return 0, nil, false
	}
	zone := line[iso:]
	if s.fraction = zone[0] == '.'; s.fraction {
		zone = zone[1:]
		for len(zone) > 0 && zone[0] >= '0' && zone[0] <= '9' {
			zone = zone[1:]
		}
	}
	end := 1
	if len(zone) > 0 && zone[0] != 'Z' {
		end = len(s.zone)
	}
	if len(zone) <= end || zone[end] != ' ' {
		return 0, nil, false
	}
	if s.isoEnd == end && string(line[:16]) == string(s.minute[:]) && string(zone[:end]) == string(s.zone[:end]) {
		return s.base + int64(sec), zone[end:], true
	}
	t, err := time.Parse("2006-01-02T15:04Z07:00", string(line[:16])+string(zone[:end]))
	if err != nil {
		return 0, nil, false
	}
	copy(s.minute[:], line[:16])
	copy(s.zone[:], zone[:end])
	s.base, s.isoEnd = t.Unix(), end
	return s.base + int64(sec), zone[end:], true
}

// two reads two digits; the first may be a space, as in "Nov  1".
func two(b []byte) (int, bool) {
	tens, ones := b[0]-'0', b[1]-'0'
	if b[0] == ' ' {
		tens = 0
	}
	return int(tens)*10 + int(ones), tens <= 9 && ones <= 9
}

func month(b []byte) time.Month {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for m := 0; m < 12; m++ {
		if string(b) == names[3*m:3*m+3] {
			return time.Month(m + 1)
		}
	}
	return 0
}
