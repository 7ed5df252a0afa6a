package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

const known = `{"id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z","aliases":["CVE-1"],"affected":[{"package":{"name":"example.com/a","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.3"}]}]}]}`

func TestIndexNamesModulesAndTheirFixes(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "GO-2000-0001.json"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := index(source, target); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"index/modules.json":   `[{"path":"example.com/a","vulns":[{"id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z","fixed":"1.2.3"}]}]`,
		"index/vulns.json":     `[{"id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z","aliases":["CVE-1"]}]`,
		"ID/GO-2000-0001.json": known,
	} {
		got, err := os.ReadFile(filepath.Join(target, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if err := index(t.TempDir(), target); err == nil {
		t.Error("a database without entries is accepted")
	}
}

func TestOnlyWhatIsReachedInRequiredModulesCounts(t *testing.T) {
	type trace = map[string]string
	var output bytes.Buffer
	for _, f := range []struct {
		id    string
		trace trace
	}{
		{"GO-1", trace{"module": "example.com/a", "version": "v1"}},
		{"GO-1", trace{"module": "example.com/a", "version": "v1", "package": "example.com/a", "function": "F"}},
		{"GO-1", trace{"module": "example.com/a", "version": "v1", "package": "example.com/a"}},
		{"GO-2", trace{"module": "example.com/b", "version": "v1", "package": "example.com/b"}},
		{"GO-3", trace{"module": "stdlib", "version": "v1.26.0", "package": "net/http", "function": "G"}},
	} {
		text, err := json.Marshal(map[string]any{"finding": map[string]any{"osv": f.id, "fixed_version": "v2", "trace": []trace{f.trace}}})
		if err != nil {
			t.Fatal(err)
		}
		output.WriteString(`{"progress":{}}`)
		output.Write(text)
	}
	found, err := read(output.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if n := found.print("dir", &printed); n != 1 {
		t.Errorf("%d reached: %s", n, printed.String())
	}
	want := "dir: GO-1 in example.com/a v1, fixed in \"v2\": REACHED\n" +
		"dir: GO-2 in example.com/b v1, fixed in \"v2\": required only\n" +
		"dir: 1 reached in required modules, 1 in the Go release\n"
	if printed.String() != want {
		t.Errorf("got %s", printed.String())
	}
	if _, err := read([]byte("{")); err == nil {
		t.Error("half an output is accepted")
	}
}
