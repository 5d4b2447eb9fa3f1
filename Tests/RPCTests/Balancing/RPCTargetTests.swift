import Testing

@testable import RPC

@Suite("A target") struct RPCTargetTests {
  @Test(
    "is read",
    arguments: [
      ("store:80", [.tcp(host: "store", port: 80)]),
      ("dns:///store:80", [.tcp(host: "store", port: 80)]),
      ("dns:store:80", [.tcp(host: "store", port: 80)]),
      ("dns:80", [.tcp(host: "dns", port: 80)]),
      ("10.0.0.1:80", [.tcp(host: "10.0.0.1", port: 80)]),
      ("a:1,b:2,a:1", [.tcp(host: "a", port: 1), .tcp(host: "b", port: 2)]),
      ("ipv4:10.0.0.1:80,10.0.0.2:81", [.tcp(host: "10.0.0.1", port: 80), .tcp(host: "10.0.0.2", port: 81)]),
      ("ipv6:[::1]:80", [.tcp(host: "::1", port: 80)]),
      ("unix:/run/a", [.unix(path: "/run/a")]),
      ("unix:///run/a", [.unix(path: "/run/a")]),
      ("unix:run/a", [.unix(path: "run/a")]),
      ("/run/a", [.unix(path: "/run/a")]),
      ("unix:/run/a,/run/b", [.unix(path: "/run/a"), .unix(path: "/run/b")]),
      ("unix:/run/a,unix:/run/b", [.unix(path: "/run/a"), .unix(path: "/run/b")]),
    ] as [(String, [RPCAddress])])
  func read(text: String, hosts: [RPCAddress]) throws {
    #expect(try RPCTarget(text).hosts == hosts)
  }

  @Test(
    "that is none is refused, naming the part that is wrong",
    arguments: [
      ("", "\"\" is no target: \"\" is no address; use HOST:PORT, [IPV6]:PORT or unix:/PATH"),
      ("a:1,,b:2", "\"a:1,,b:2\" is no target: \"\" is no address; use HOST:PORT, [IPV6]:PORT or unix:/PATH"),
      ("a:1,b", "\"a:1,b\" is no target: \"b\" is no address; use HOST:PORT, [IPV6]:PORT or unix:/PATH"),
      ("ipv4:store:80", "\"ipv4:store:80\" is no target: store:80 does not go with \"ipv4:\""),
      ("ipv4:[::1]:80", "\"ipv4:[::1]:80\" is no target: [::1]:80 does not go with \"ipv4:\""),
      ("ipv6:1.2.3.4:80", "\"ipv6:1.2.3.4:80\" is no target: 1.2.3.4:80 does not go with \"ipv6:\""),
      ("dns:/run/a", "\"dns:/run/a\" is no target: unix:/run/a does not go with \"dns:\""),
    ])
  func refused(text: String, description: String) {
    let error = #expect(throws: RPCTargetError.self) { try RPCTarget(text) }
    #expect(error?.description == description)
  }

  @Test("has at most 256 addresses")
  func limit() throws {
    let addresses = (1...257).map { "a\($0):1" }
    #expect(try RPCTarget(addresses.dropLast().joined(separator: ",")).hosts.count == 256)
    #expect(throws: RPCTargetError.self) { try RPCTarget(addresses.joined(separator: ",")) }
  }

  @Test("needs to be looked up when there is a name in it")
  func names() throws {
    #expect(try RPCTarget("127.0.0.1:1,[::1]:1").isResolved)
    #expect(try RPCTarget("unix:/run/a").isResolved)
    #expect(try !RPCTarget("127.0.0.1:1,localhost:1").isResolved)
  }
}
