package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// entry is a vulnerability in the format of OSV, as far as an index needs it.
type entry struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Aliases  []string  `json:"aliases,omitempty"`
	Affected []struct {
		Module struct {
			Path string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Events []struct {
				Fixed string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected,omitempty"`
}

// listed is a vulnerability in the index of modules.
type listed struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Fixed    string    `json:"fixed,omitempty"`
}

// module is what the index has of one.
type module struct {
	Path            string   `json:"path"`
	Vulnerabilities []listed `json:"vulns"`
}

// index makes a database of version 1 (https://go.dev/doc/security/vuln/database) in
// target of the entries in source.
func index(source, target string) error {
	files, err := filepath.Glob(filepath.Join(source, "GO-*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no entries in %s: %w", source, err)
	}
	for _, dir := range []string{"ID", "index"} {
		if err := os.MkdirAll(filepath.Join(target, dir), 0o700); err != nil {
			return err
		}
	}
	modules, summaries := make(map[string]*module), []entry{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(target, "ID", e.ID+".json"), text, 0o600); err != nil {
			return err
		}
		e.list(modules)
		e.Affected = nil
		summaries = append(summaries, e)
	}
	var sorted []*module
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		sorted = append(sorted, modules[path])
	}
	return writeAll(filepath.Join(target, "index"), map[string]any{
		"db.json": map[string]time.Time{"modified": {}}, "modules.json": sorted, "vulns.json": summaries,
	})
}

// list adds e to the modules that it affects.
func (e *entry) list(modules map[string]*module) {
	for _, affected := range e.Affected {
		m := modules[affected.Module.Path]
		if m == nil {
			m = &module{Path: affected.Module.Path}
			modules[m.Path] = m
		}
		fixed := ""
		for _, r := range affected.Ranges {
			if n := len(r.Events); n > 0 {
				fixed = r.Events[n-1].Fixed
			}
		}
		m.Vulnerabilities = append(m.Vulnerabilities, listed{e.ID, e.Modified, fixed})
	}
}

func writeAll(dir string, files map[string]any) error {
	for name, value := range files {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
