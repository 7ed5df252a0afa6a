package brokers

import (
	"flag"
	"os"
	"testing"

	"github.com/seed65a45251/mqtt/interop/brokers/servers"
)

var (
	serverURL = flag.String("server", "", "probe the broker with this `URL` instead, and print what it can do")
	username  = flag.String("user", "", "the user `name` for -server")
	password  = flag.String("password", "", "the password for -server")
	update    = flag.Bool("update", false, "write docs/brokers.md")
	long      = flag.Bool("brokers.long", false, "take the large sizes and many rounds on every broker")
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
