package conformance_test

import (
	"os"
	"testing"

	"github.com/seed65a45251/mqtt/interop/brokers/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
