import RPC
import ServiceKit

/// The public face of the platform: JSON over HTTP in, RPCs to the services behind, and back.
@main
struct Edge: ServiceProgram {
  static func main() async { await run() }

  static let name = "edge"
  static let summary = "Serves the platform's JSON API and calls the services behind it."
  static let listeners = ["http"]
  /// Of the contract, as clients see it.
  static let apiVersion = "1.0.0"

  static let settings =
    [
      Setting("listen", default: "127.0.0.1:8080", help: "Where HTTP is served: host:port or unix:/path."),
      Setting(
        "store.target",
        help:
          "Where StoreSvc is: host:port, with all that DNS has for it; unix:/path; or several, with commas."
      ),
      Setting(
        "docs.assets", optional: true,
        help: "The folder of Swagger UI's files; without it the docs page only links to the description."),
      Setting(
        "proxies", default: "0",
        help:
          "How many proxies in front append to X-Forwarded-For; with 0 nobody is believed who says it is one."
      ),
    ] + Setting.http + Setting.rpcClient("store", .internal) + Setting.identity + [.serviceSecret]
    + Setting.limits
}
