package import RPC

extension Setting {
  /// What a program can be told about how it calls a service, `store.…` for a target `store`, besides where that is.
  /// What it does when told nothing is `standard`.
  package static func rpcClient(_ target: String, _ standard: RPCClient.Configuration) -> [Setting] {
    [
      Setting(
        "\(target).balancing", default: standard.balancing.settingText,
        help: """
          Which instance a call goes to: round_robin, all that can be reached in turn; or pick_first, the first of them \
          in the order given.
          """),
      Setting(
        "\(target).health", default: "\(standard.healthService != nil)",
        help: """
          Call only instances that say they are serving (grpc.health.v1), as far as they can be asked: true or false.
          """),
      Setting(
        "\(target).backoff.min", default: standard.backoff.initial.settingText,
        help: "Seconds until an instance that could not be reached is tried again; longer each time."),
      Setting(
        "\(target).backoff.max", default: standard.backoff.maximum.settingText,
        help: "Seconds between two attempts to reach an instance, at most."),
    ] + clientTLS(target)
  }
}

extension Settings {
  /// The client that `Setting.rpcClient` describes, on plaintext or TLS.
  package func rpcClient(
    _ target: String, _ standard: RPCClient.Configuration
  ) throws -> RPCClient.Configuration {
    var configuration = standard
    configuration.tls = try clientTLS(target)
    configuration.balancing = try balancing("\(target).balancing")
    configuration.healthService = try bool("\(target).health") ? standard.healthService ?? "" : nil
    configuration.backoff.initial = try duration("\(target).backoff.min")
    configuration.backoff.maximum = try duration("\(target).backoff.max")
    guard .milliseconds(1)...configuration.backoff.maximum ~= configuration.backoff.initial else {
      throw StartupFailure(
        "\(name("\(target).backoff.min")) must be 0.001 at least and no more than \(name("\(target).backoff.max"))"
      )
    }
    return configuration
  }

  private func balancing(_ key: String) throws -> RPCClient.Configuration.Balancing {
    let text = try string(key)
    let all: [RPCClient.Configuration.Balancing] = [.roundRobin, .pickFirst(shuffled: false)]
    guard let balancing = all.first(where: { $0.settingText == text }) else {
      throw StartupFailure("\(name(key)) must be round_robin or pick_first, not \"\(text)\"")
    }
    return balancing
  }
}

extension RPCClient.Configuration.Balancing {
  fileprivate var settingText: String {
    switch self {
    case .roundRobin: "round_robin"
    case .pickFirst: "pick_first"
    }
  }
}
