// swift-tools-version: 6.2
import PackageDescription

/// What the house is built with and nothing of it runs with: a package of its own, so that nobody who uses
/// Mainstreet builds it.
let package = Package(
  name: "Tools",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "Mainstreet", path: "..")],
  targets: [
    .executableTarget(
      name: "protogen",
      dependencies: [.product(name: "Schema", package: "Mainstreet")],
      swiftSettings: [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
      ]),
    .executableTarget(
      name: "seed",
      swiftSettings: [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
