package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const unreleased = "## Unreleased\n"

// announce gives what stands below Unreleased a version and a date.
func announce(path, version string, now time.Time) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, after, ok := strings.Cut(string(text), unreleased)
	switch {
	case !ok:
		return errors.New("CHANGELOG.md has no Unreleased")
	case strings.HasPrefix(strings.TrimSpace(after), "## ") || strings.TrimSpace(after) == "":
		return errors.New("CHANGELOG.md has nothing below Unreleased")
	}
	heading := fmt.Sprintf("%s\n## %s - %s\n", unreleased, version, now.Format(time.DateOnly))
	return os.WriteFile(path, []byte(before+heading+after), 0o644)
}
